"""The scored boxes of a video around its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.features.settings import YARDSTICK
from hf2vad.schema import BOX, F32, FEATURE_COLUMNS, OBJECTS
from hf2vad.storage import open_parquet

Range = tuple[int, int]

BATCH = 65_536
"""Rows of the table that are looked at together."""


@dataclass(frozen=True)
class Objects:
    """Rows of the table `objects`, in the order of their frames."""

    frame: npt.NDArray[np.int32]
    boxes: F32
    """(N, 4): x1, y1, x2, y2 in source pixels."""
    table: pa.Table

    @classmethod
    def read(cls, uri: str, ranges: Sequence[Range]) -> Objects:
        """Objects in the frames of `ranges` (ends exclusive). Holds at most BATCH other rows at a time."""
        starts = np.array(sorted(start for start, _ in ranges), np.int64)
        stops = np.maximum.accumulate(np.array([stop for _, stop in sorted(ranges)], np.int64))
        kept = [OBJECTS.empty_table()]
        with open_parquet(uri) as file:
            for batch in file.iter_batches(BATCH):
                frame = batch["frame"].to_numpy()
                place = np.searchsorted(starts, frame, side="right") - 1
                wanted = (place >= 0) & (frame < stops[place])
                kept.append(pa.Table.from_batches([batch]).filter(pa.array(wanted)).replace_schema_metadata(None))
        table = pa.concat_tables(kept, promote_options="default").combine_chunks()
        boxes = np.stack([table[name].to_numpy() for name in BOX], axis=1)
        return cls(table["frame"].to_numpy(), boxes, table)

    @cached_property
    def speed(self) -> F32:
        """(N,): the speed that is measured of every box."""
        return np.asarray(self.table[FEATURE_COLUMNS[YARDSTICK]].to_numpy(), np.float32)

    def of(self, start: int, stop: int) -> slice:
        """The rows of frames `start` … `stop`, the end exclusive."""
        first, last = np.searchsorted(self.frame, [start, stop])
        return slice(int(first), int(last))

    def rows(self, frame: int) -> list[dict[str, Any]]:
        """The rows of one frame."""
        rows = self.of(frame, frame + 1)
        found: list[dict[str, Any]] = self.table.slice(rows.start, rows.stop - rows.start).to_pylist()
        return found

    def best(self, start: int, stop: int) -> Mapping[str, Any] | None:
        """The highest scoring row of those frames, the first of equals; none without any."""
        rows = self.of(start, stop)
        score = self.table["score"].to_numpy()[rows]
        if not len(score):
            return None
        row: Mapping[str, Any] = self.table.slice(rows.start + int(score.argmax()), 1).to_pylist()[0]
        return row


def shown_object(objects: Objects, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object that an event is shown by: the highest scoring one of its peak frame, or, where that has none (as in
    tables of before), the highest scoring one of its frames; none without any."""
    peak = event["peak_frame"]
    return objects.best(peak, peak + 1) or objects.best(event["start_frame"], event["end_frame"] + 1)
