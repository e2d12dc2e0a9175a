"""YOLOX-style object detectors as ONNX networks (Ge et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import DetectorConfig
from hf2vad.errors import ConfigError
from hf2vad.schema import F32, U8

STRIDES = (8, 16, 32)
PAD = 114
"""Grey level around a letterboxed frame."""
BATCH = 16
"""Pictures, a frame and its tiles, that a GPU is given at once."""


class OnnxDetector:
    """A network with one input (B, 3, H, W), BGR 0–255, and one output (B, cells, 5 + classes), not yet decoded.

    B is 1, or left open by the network. Then a frame and its tiles are one batch on a GPU; on a CPU, where batches are
    slower (docs/performance.md), they are run one by one. A batch never holds pictures of two frames: what a frame's
    are run with does not depend on the shard.
    """

    def __init__(self, model: bytes, config: DetectorConfig, *, threads: int = 1, batch: int | None = None) -> None:
        """`batch`: pictures at once, where the network leaves it open; none: `BATCH` on a GPU, one elsewhere.

        Raises ConfigError when onnxruntime is missing or `model` is no such network.
        """
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError("detector.kind with onnx needs onnxruntime: pip install 'hf2vad[detector]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait would spin, on the cores that decoding and flow need: twice the processor time of a picture.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise ConfigError(f"detector.model {config.model}: not an ONNX network: {error}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if inputs else []
        fixed = len(shape) == 4 and shape[1] == 3 and all(isinstance(n, int) for n in shape[2:])
        fixed = fixed and (shape[0] == 1 or not isinstance(shape[0], int))
        if len(inputs) != 1 or len(outputs) != 1 or not fixed or inputs[0].type != "tensor(float)":
            raise ConfigError(
                f"detector.model {config.model}: needs one output and one float32 input of fixed size (1, 3, H, W), "
                f"got {len(outputs)} and {', '.join(f'{i.type} {i.shape}' for i in inputs)}"
            )
        self._input = inputs[0].name
        self._height, self._width = int(shape[2]), int(shape[3])
        self._cells = _grid(self._width, self._height)
        self._config = config
        on_gpu = "CUDAExecutionProvider" in self._session.get_providers()
        is_open = not any(isinstance(each.shape[0], int) for each in (inputs[0], outputs[0]))
        self._batch = (batch or (BATCH if on_gpu else 1)) if is_open else 1

    def detect(self, image: U8) -> F32:
        """(N, 4) boxes x1, y1, x2, y2 in pixels of the (H, W, 3) BGR frame, all classes, after NMS and `min_area`."""
        boxes: list[F32] = []
        scores: list[F32] = []
        classes: list[Any] = []
        parts = list(self._parts(image))
        for start in range(0, len(parts), self._batch):
            some = parts[start : start + self._batch]
            for (x, y, part), output in zip(some, self._run([part for _, _, part in some]), strict=True):
                found, score, kind = self._decoded(output, self._ratio(part))
                boxes.append(found + np.array([x, y, x, y], np.float32))
                scores.append(score)
                classes.append(kind)
        height, width = image.shape[:2]
        all_boxes = np.clip(np.concatenate(boxes), 0, np.array([width, height, width, height], np.float32))
        kept = _suppress(all_boxes, np.concatenate(scores), np.concatenate(classes), self._config.nms_iou)
        result: F32 = all_boxes[kept]
        areas = (result[:, 2] - result[:, 0]) * (result[:, 3] - result[:, 1])
        return result[areas >= max(self._config.min_area, 1e-6)]

    def _parts(self, image: U8) -> Iterator[tuple[int, int, U8]]:
        """The whole frame, and the tiles that are searched besides."""
        yield 0, 0, image
        side = self._config.tile
        height, width = image.shape[:2]
        if side and (side < width or side < height):
            for y in _offsets(height, side, self._config.tile_overlap):
                for x in _offsets(width, side, self._config.tile_overlap):
                    yield x, y, image[y : y + side, x : x + side]

    def _run(self, images: Sequence[U8]) -> F32:
        """What the network answers to each of `images`: (B, cells, 5 + classes)."""
        tensor = np.stack([self._letterboxed(image).transpose(2, 0, 1) for image in images]).astype(np.float32)
        raw = self._session.run(None, {self._input: tensor})[0]
        if raw.ndim != 3 or raw.shape[:2] != (len(images), len(self._cells)) or raw.shape[2] < 6:
            expected = f"({len(images)}, {len(self._cells)}, 5 + classes)"
            raise ConfigError(f"detector.model {self._config.model}: output is {raw.shape}, expected {expected}")
        return np.asarray(raw, np.float32)

    def _ratio(self, image: U8) -> float:
        """By how much a picture is scaled to fit into the network's input."""
        height, width = image.shape[:2]
        return float(min(self._width / width, self._height / height))

    def _letterboxed(self, image: U8) -> U8:
        height, width = image.shape[:2]
        ratio = self._ratio(image)
        canvas = np.full((self._height, self._width, 3), PAD, np.uint8)
        size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return canvas

    def _decoded(self, output: F32, ratio: float) -> tuple[F32, F32, Any]:
        """Boxes (N, 4) in pixels of the picture, scores and classes (N,) of the cells that are sure enough."""
        centre = (output[:, :2] + self._cells[:, :2]) * self._cells[:, 2:]
        half = np.exp(output[:, 2:4]) * self._cells[:, 2:] / 2
        probabilities = output[:, 4:5] * output[:, 5:]
        kind = probabilities.argmax(1)
        score = probabilities[np.arange(len(kind)), kind]
        sure = score >= self._config.confidence
        boxes = np.concatenate([centre - half, centre + half], axis=1)[sure] / np.float32(ratio)
        return boxes.astype(np.float32), score[sure], kind[sure]


def _grid(width: int, height: int) -> F32:
    """(cells, 3): column, row and stride of each output cell, finest stride first."""
    levels = []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        levels.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def _offsets(length: int, side: int, overlap: float) -> list[int]:
    """Where tiles of `side` begin so that they cover `length`, neighbours sharing at least `overlap` of a tile."""
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _suppress(boxes: F32, scores: F32, classes: Any, iou: float) -> Any:
    """Indices that class-wise non-maximum suppression keeps, best first."""
    if not len(boxes):
        return np.empty(0, np.int64)
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(corners.tolist(), scores.tolist(), classes.tolist(), 0.0, iou)
    return np.asarray(kept, np.int64).ravel()
