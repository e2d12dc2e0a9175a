"""Picture sizes of a scored video by frame, from the metadata of its frame table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.schema import F32


def size_at(metadata: Mapping[str, Any], frame: int) -> list[int] | None:
    """Width and height of `frame` in pixels; none in tables that do not say it."""
    for start, *size in reversed(metadata.get("sizes", ())):
        if start <= frame:
            return list(size)
    width, height = metadata.get("width"), metadata.get("height")
    return [width, height] if width and height else None


def sizes_of(metadata: Mapping[str, Any], frames: npt.NDArray[np.int32], size: tuple[int, int]) -> F32:
    """(N, 2) width and height of each of `frames`; of those that the metadata does not name, `size`."""
    runs = np.array(metadata.get("sizes") or [[0, *size]], np.int64)
    run = np.maximum(np.searchsorted(runs[:, 0], frames, side="right") - 1, 0)
    return np.asarray(runs[run, 1:], np.float32)
