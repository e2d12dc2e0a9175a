"""The small figures of each frame that a video's health is told from, noted while its cubes are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from hf2vad.schema import LOOKS, THUMBNAIL_SHAPE, U8, pack_metadata

SizeFrom = tuple[int, int, int]
"""A frame, and the width and height in pixels of it and those after it."""

EVERY = 8
"""The thumbnail of the first frame in every so many is kept, counted from the start of the video, so that shards do not
show."""

CELL = 4
"""Pixels along a cell of the thumbnail that are averaged, at least: of a large picture not all, which takes 5 ms."""

SAMPLE = 96
"""Pixels along the shorter side of the grid whose pixels are compared: single pixels, so that their noise is seen."""


class FrameStats:
    """Takes the frames of one shard in order, those of its halo too, and makes the table `looks` of them."""

    def __init__(self, start: int, stop: int, size: tuple[int, int], earlier: int | None = None) -> None:
        """`size`: width and height of the video's first frame. `earlier`: number of the last frame before `start` that
        is looked at; none: the one before it."""
        self._start, self._stop, self._size = start, stop, size
        self._first = start - 1 if earlier is None else earlier
        self._last = self._first
        """The last frame that was looked at, or is before all that are."""
        self._light: dict[str, float] = {}
        """Brightness figures of that frame. Empty if it cannot be decoded."""
        self._rows: list[dict[str, Any]] = []
        self._before: tuple[U8, U8] | None = None
        self._sizes: list[SizeFrom] = []

    def __call__(self, frame: int, grey: U8 | None, size: tuple[int, int]) -> None:
        """Note frame number `frame`; `grey`: (H, W), none when it cannot be decoded; `size`: width and height that it
        had before it was scaled."""
        if frame < self._first or frame >= self._stop:
            return
        self._hold(frame)
        if grey is None:
            row: dict[str, Any] = {"frame": frame}
            self._before, self._light = None, {}
        else:
            if not self._sizes or self._sizes[-1][1:] != size:
                self._sizes.append((frame, *size))
                self._before = None
            thumbnail, sample = _thumbnail(grey), _sample(grey)
            self._light = _light(thumbnail)
            row = {"frame": frame, **self._light}
            if self._before is not None:
                row["change"] = float(cv2.absdiff(thumbnail, self._before[0]).max())
                row["changed"] = np.count_nonzero(sample != self._before[1]) / sample.size
            if frame // EVERY != self._last // EVERY:
                row["thumbnail"] = thumbnail.tobytes()
            self._before = thumbnail, sample
        if frame >= self._start:
            self._rows.append(row)
        self._last = frame

    def _hold(self, stop: int) -> None:
        """Add the frames up to `stop` that are not looked at: as the one before them, without any change."""
        unchanged = {"change": 0.0, "changed": 0.0} if self._light else {}
        for frame in range(max(self._start, self._last + 1), stop):
            self._rows.append({"frame": frame, **self._light, **unchanged})

    def table(self, metadata: Mapping[str, Any]) -> pa.Table:
        """Table of the recorded statistics. The same frames give the same rows, whatever the shard.

        Where a frame has another size than the video's first, `sizes` in the metadata says from which frame on which
        width and height hold.
        """
        self._hold(self._stop)
        others = any(size != self._size for size in ((width, height) for _, width, height in self._sizes))
        sizes = {"sizes": self._sizes} if others else {}
        return pa.Table.from_pylist(self._rows, LOOKS.with_metadata(pack_metadata("looks", {**metadata, **sizes})))


def _thumbnail(grey: U8) -> U8:
    rows, columns = THUMBNAIL_SHAPE
    step = max(1, min(grey.shape[0] // (CELL * rows), grey.shape[1] // (CELL * columns)))
    thinned = np.ascontiguousarray(grey[::step, ::step])
    return np.asarray(cv2.resize(thinned, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _sample(grey: U8) -> U8:
    step = max(1, min(grey.shape) // SAMPLE)
    return np.ascontiguousarray(grey[::step, ::step])


def _light(thumbnail: U8) -> dict[str, float]:
    """Mean grey level, and levels between which the middle 90 % of the cells lie."""
    below = np.cumsum(np.bincount(thumbnail.ravel(), minlength=256))
    low, high = np.searchsorted(below, [0.05 * below[-1], 0.95 * below[-1]])
    return {"level": float(thumbnail.mean()), "contrast": float(high - low)}
