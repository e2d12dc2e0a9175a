"""Shared parts of ONNX detectors: session, tiles, batches, non-maximum suppression, and the overlap rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.detectors.detector import Detections, Detector, FrameContext, Resources, box_order
from hf2vad.cubes.detectors.settings import NetworkConfig
from hf2vad.cubes.opencv import cv2
from hf2vad.models.onnx import open_network, read_file
from hf2vad.schema import F32, I32, U8

BATCH = 16
"""Pictures, a frame and its tiles, that a GPU is given at once."""

Indices = npt.NDArray[np.intp]


class Answer(NamedTuple):
    """Objects that a network finds in one picture with at least `confidence`."""

    boxes: F32
    """(N, 4): x1, y1, x2, y2 in pixels of the picture, the end exclusive."""
    scores: F32
    """(N,): probability of the best class, in [0, 1]."""
    classes: I32
    """(N,): index of the best class."""


class NetworkDetector(Detector):
    """Boxes of an ONNX network. A subclass knows one family of networks: what goes in, and what comes out.

    Where the network leaves the number of pictures open, a frame and its tiles are one batch on a GPU; on a CPU, where
    batches are slower (docs/performance.md), they are run one by one. A batch never holds pictures of two frames: what
    a frame's are run with does not depend on the shard. Boxes come out sorted by y1, x1, y2, x2.
    """

    Settings: ClassVar[type] = NetworkConfig
    carried: ClassVar[bool] = True

    repeats: ClassVar[bool]
    """True if the network reports one object several times, so that even a single picture needs suppression."""

    def __init__(self, settings: NetworkConfig, resources: Resources, *, batch: int | None = None) -> None:
        """`batch`: pictures at once, where the network leaves it open; None: `BATCH` on a GPU, one elsewhere.

        Raises ConfigError when onnxruntime is missing or the file is no network of this family, MismatchError when the
        file is not the one that the settings were resolved with.
        """
        self._settings = settings
        model, _ = read_file(settings.model, settings.model_sha256, name="detector.model")
        self._session = open_network(model, resources.threads, name=f"detector.model {settings.model}")
        is_open = self._check()
        on_gpu = "CUDAExecutionProvider" in self._session.get_providers()
        self._batch = (batch or (BATCH if on_gpu else 1)) if is_open else 1

    @abstractmethod
    def _check(self) -> bool:
        """Read what the network takes; returns whether it leaves the number of pictures open.

        Raises ConfigError for a network of another family.
        """

    @abstractmethod
    def _answers(self, images: Sequence[U8]) -> Iterator[Answer]:
        """Run the network on `images`, (H, W, 3) BGR of any sizes.

        Raises ConfigError for an output of another shape than the family's.
        """

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """Boxes from `detect` in `frame`, without those covered by a larger box."""
        boxes, scores, classes = self.detect(frame.image)
        kept = without_overlaps(boxes, self._settings.overlap)
        return Detections(boxes[kept], classes[kept], scores[kept])

    def detect(self, image: U8) -> Answer:
        """Detections of all classes in a (H, W, 3) BGR frame, after suppression and `min_area`, most certain first."""
        parts = list(tiles(image, self._settings.tile, self._settings.tile_overlap))
        answers: list[Answer] = []
        for start in range(0, len(parts), self._batch):
            some = parts[start : start + self._batch]
            for (x, y, _), answer in zip(some, self._answers([part for _, _, part in some]), strict=True):
                answers.append(answer._replace(boxes=answer.boxes + np.array([x, y, x, y], np.float32)))
        height, width = image.shape[:2]
        corner = np.array([width, height, width, height], np.float32)
        boxes = np.clip(np.concatenate([answer.boxes for answer in answers]), 0, corner)
        scores = np.concatenate([answer.scores for answer in answers])
        classes = np.concatenate([answer.classes for answer in answers])
        if self.repeats or len(parts) > 1:
            best = _suppressed(boxes, scores, classes, self._settings.nms_iou)
        else:
            best = np.argsort(-scores, kind="stable")
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        best = best[areas[best] >= max(self._settings.min_area, 1e-6)]
        return Answer(boxes[best], scores[best], classes[best])


def tiles(image: U8, side: int, overlap: float) -> Iterator[tuple[int, int, U8]]:
    """The whole picture, then the square tiles that are searched besides (`side` 0: none), each with its x and y."""
    yield 0, 0, image
    height, width = image.shape[:2]
    if side and (side < width or side < height):
        for y in offsets(height, side, overlap):
            for x in offsets(width, side, overlap):
                yield x, y, image[y : y + side, x : x + side]


def offsets(length: int, side: int, overlap: float) -> list[int]:
    """First coordinates of tiles of `side` that cover `length`; neighbours share at least `overlap` of a tile."""
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _suppressed(boxes: F32, scores: F32, classes: I32, iou: float) -> Indices:
    """Indices that class-wise non-maximum suppression keeps, best first."""
    if not len(boxes):
        return np.empty(0, np.intp)
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(corners.tolist(), scores.tolist(), classes.tolist(), 0.0, iou)
    return np.asarray(kept, np.intp).ravel()


def without_overlaps(boxes: F32, most: float) -> Indices:
    """(M,) indices of the (N, 4) `boxes` of which no larger one covers more than `most` of their area.

    They sort the boxes by y1, x1, y2, x2. Of two boxes of equal area that cover each other, the first in that order
    stays (paper §4.1, release).
    """
    order = box_order(boxes)
    boxes = boxes[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    for i, box in enumerate(boxes):
        larger = (area > area[i]) | ((area == area[i]) & (np.arange(len(boxes)) < i))
        size = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
        shared = np.clip(size, 0, None).prod(axis=1)
        if not (larger & (shared > most * area[i])).any():
            kept.append(i)
    return order[kept]
