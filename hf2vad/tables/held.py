"""Frames that were not worked on (working.fps), in the tables of a video: each shows what the frame before it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.schema import BOX
from hf2vad.video.sampled import holders


def held_frames(frames: pa.Table, metadata: Mapping[str, Any]) -> npt.NDArray[np.bool_] | None:
    """(frames,): which rows of a frame table repeat the objects of the row before; None where all were worked on.

    `metadata`: of that table, or what it is going to have.
    """
    if not metadata.get("worked_fps"):
        return None
    same = np.ones(len(frames), np.bool_)
    same[:1] = False
    for name in ("score_raw", *BOX):
        values = frames[name].to_numpy()
        same[1:] &= values[1:] == values[:-1]
    return same


def shown_objects(objects: pa.Table, frames: pa.Table, metadata: Mapping[str, Any]) -> pa.Table:
    """The objects of a video with those of frames that were not worked on: the ones of the frame before, once more.

    `metadata`: of the frame table.
    """
    between = held_frames(frames, metadata)
    if between is None:
        return objects
    number, own = frames["frame"].to_numpy(), objects["frame"].to_numpy()
    shown = number[holders(between)]
    first = np.searchsorted(own, shown, "left")
    count = np.searchsorted(own, shown, "right") - first
    rows = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    repeated = pa.array(np.repeat(number, count), objects.schema.field("frame").type)
    return objects.take(pa.array(rows)).set_column(objects.schema.get_field_index("frame"), "frame", repeated)
