"""Boxes that somebody else has found, from a Parquet file."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf2vad.cubes.detectors.detector import NO_BOXES, Detections, Detector, FrameContext, Resources
from hf2vad.cubes.detectors.settings import NoSettings
from hf2vad.errors import SchemaError, VideoError
from hf2vad.schema import BOX, F32, require_columns
from hf2vad.storage import open_parquet, open_read


class BoxFile(Detector):
    """Boxes from a Parquet file (`video, frame, x1, y1, x2, y2`, in source pixels), read one video at a time.

    The file belongs to an archive and not to a model: it is an option of the job (--boxes) and no setting.
    """

    in_source_pixels: ClassVar[bool] = True

    def __init__(self, settings: NoSettings, resources: Resources) -> None:
        """Raises SchemaError when a column is missing or of another type, NotFoundError where there is no file."""
        self._uri = resources.boxes
        schema = open_parquet(self._uri).schema_arrow
        require_columns(schema, "boxes", self._uri)
        _check_types(schema, self._uri)
        self._video: str | None = None
        self._frames = np.empty(0, np.int64)
        self._boxes = NO_BOXES

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """The file's boxes of `frame`, all of them, in order of y1, x1, y2, x2.

        Raises VideoError for a video that the file does not name.
        """
        if frame.video != self._video:
            self._load(frame.video)
        first, last = np.searchsorted(self._frames, [frame.index, frame.index + 1])
        return Detections(self._boxes[first:last])

    def _load(self, video: str) -> None:
        columns = ["frame", *BOX]
        with open_read(self._uri) as file:
            table = pq.read_table(file, columns=columns, filters=pc.field("video") == video)
        if not table.num_rows:
            raise VideoError(f"{video}: --boxes {self._uri} has no row for this video")
        if any(table[name].null_count for name in columns):
            raise VideoError(f"{video}: --boxes {self._uri} has rows without a frame or a coordinate")
        frames = table["frame"].to_numpy().astype(np.int64)
        boxes = np.stack([table[name].to_numpy() for name in BOX], axis=1).astype(np.float32)
        if not np.isfinite(boxes).all():
            raise VideoError(f"{video}: --boxes {self._uri} has coordinates that are not finite")
        order = np.lexsort((boxes[:, 2], boxes[:, 3], boxes[:, 0], boxes[:, 1], frames))
        self._video, self._frames, self._boxes = video, frames[order], boxes[order]


def _check_types(schema: pa.Schema, uri: str) -> None:
    """Raise SchemaError where a column cannot be compared with what extraction asks for."""
    is_type = pa.types
    for name in ("video", "frame", *BOX):
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
