"""Where object boxes come from: motion, an ONNX network, both, or a Parquet file."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf2vad.cubes.detectors.motion import in_order, motion_boxes
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig
from hf2vad.errors import MismatchError, SchemaError, VideoError
from hf2vad.schema import F32, U8, require_columns
from hf2vad.storage import open_parquet, open_read, read_bytes

NO_BOXES = np.empty((0, 4), np.float32)


def resolve_detector(config: DetectorConfig) -> DetectorConfig:
    """`config` with the content hash of its ONNX file.

    Raises MismatchError when it carries a hash already and the file's is another.
    """
    if "onnx" not in config.kind:
        return config
    return replace(config, model_sha256=_read_model(config)[1])


def _read_model(config: DetectorConfig) -> tuple[bytes, str]:
    """The network's file and its content hash."""
    model = read_bytes(config.model)
    found = hashlib.sha256(model).hexdigest()
    if config.model_sha256 and config.model_sha256 != found:
        raise MismatchError(
            f"detector.model {config.model} has SHA-256 {found[:16]}…, but {config.model_sha256[:16]}… was used before"
        )
    return model, found


class BoxFinder:
    """Finds the boxes of a frame as `config.detector.kind` says; keeps the network warm."""

    def __init__(self, config: ExtractionConfig, boxes_uri: str = "", *, threads: int = 1) -> None:
        """Raises MismatchError when the network's file is not the one that `config` was resolved with."""
        self._config = config
        kind = config.detector.kind
        self.needs_motion = "motion" in kind
        """Whether `boxes` looks at blurred neighbours."""
        self._network: OnnxDetector | None = None
        if "onnx" in kind:
            self._network = OnnxDetector(_read_model(config.detector)[0], config.detector, threads=threads)
        self._file = BoxFile(boxes_uri) if kind == "boxes" else None
        self.in_source_pixels = self._file is not None
        """Whether boxes are in pixels of the source, as a file has them, and not in those of the image."""

    def boxes(self, video: str, frame: int, image: U8, blurred: tuple[U8 | None, U8 | None, U8 | None]) -> F32:
        """(N, 4) boxes of a frame; `blurred` are it and its neighbours for motion, none where they are not there."""
        if self._file is not None:
            return self._file.boxes(video, frame)
        known = NO_BOXES
        if self._network is not None:
            known = without_overlaps(self._network.detect(image), self._config.detector.overlap)
        before, current, after = blurred
        if not self.needs_motion or current is None:
            return known
        return np.concatenate([known, motion_boxes(before, current, after, known, self._config.motion)])


def without_overlaps(boxes: F32, most: float) -> F32:
    """(M, 4): `boxes` less those of which a larger one covers more than `most` of their area; sorted by y1, x1, y2, x2.

    Of two boxes of equal area that cover each other, the first in that order stays.
    """
    boxes = in_order(boxes)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    for i, box in enumerate(boxes):
        larger = (area > area[i]) | ((area == area[i]) & (np.arange(len(boxes)) < i))
        size = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
        shared = np.clip(size, 0, None).prod(axis=1)
        if not (larger & (shared > most * area[i])).any():
            kept.append(i)
    return boxes[kept]


class BoxFile:
    """Boxes from a Parquet file (`video, frame, x1, y1, x2, y2`), read one video at a time."""

    def __init__(self, uri: str) -> None:
        """Raises SchemaError when a column is missing or of another type."""
        schema = open_parquet(uri).schema_arrow
        require_columns(schema, "boxes", uri)
        _check_types(schema, uri)
        self._uri = uri
        self._video: str | None = None
        self._frames = np.empty(0, np.int64)
        self._boxes = NO_BOXES

    def boxes(self, video: str, frame: int) -> F32:
        """(N, 4) boxes of a frame, in order of y1, x1, y2, x2. Raises VideoError for a video that the file has not."""
        if video != self._video:
            self._load(video)
        first, last = np.searchsorted(self._frames, [frame, frame + 1])
        return self._boxes[first:last]

    def _load(self, video: str) -> None:
        columns = ["frame", "x1", "y1", "x2", "y2"]
        with open_read(self._uri) as file:
            table = pq.read_table(file, columns=columns, filters=pc.field("video") == video)
        if not table.num_rows:
            raise VideoError(f"{video}: --boxes {self._uri} has no row for this video")
        if any(table[name].null_count for name in columns):
            raise VideoError(f"{video}: --boxes {self._uri} has rows without a frame or a coordinate")
        frames = table["frame"].to_numpy().astype(np.int64)
        boxes = np.stack([table[name].to_numpy() for name in columns[1:]], axis=1).astype(np.float32)
        if not np.isfinite(boxes).all():
            raise VideoError(f"{video}: --boxes {self._uri} has coordinates that are not finite")
        order = np.lexsort((boxes[:, 2], boxes[:, 3], boxes[:, 0], boxes[:, 1], frames))
        self._video, self._frames, self._boxes = video, frames[order], boxes[order]


def _check_types(schema: pa.Schema, uri: str) -> None:
    """Raise SchemaError where a column cannot be compared with what extraction asks for."""
    is_type = pa.types
    for name in ("video", "frame", "x1", "y1", "x2", "y2"):
        kind = schema.field(name).type
        if name == "video":
            text = kind.value_type if is_type.is_dictionary(kind) else kind
            fits, expected = is_type.is_string(text) or is_type.is_large_string(text), "text"
        elif name == "frame":
            fits, expected = is_type.is_integer(kind), "whole numbers"
        else:
            fits, expected = is_type.is_integer(kind) or is_type.is_floating(kind), "numbers"
        if not fits:
            raise SchemaError(f"{uri}: column {name} is of type {kind}, it must hold {expected}")
