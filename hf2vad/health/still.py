"""Runs of frames that show the same picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hf2vad.health.settings import HealthConfig
from hf2vad.schema import U8


class StillFinder:
    """Takes what is known of each frame of a video, in order, and tells runs of frames that repeat the one before."""

    def __init__(self, config: HealthConfig) -> None:
        self._config = config
        self._start = self._stop = self._repeats = 0
        self._anchor: U8 | None = None

    def see(self, frame: int, change: float, changed: float, thumbnail: U8 | None) -> Iterator[tuple[int, int]]:
        """Take a frame; yields the run (start, stop) that it ends.

        change: largest change of a cell from the frame before, grey levels. changed: share of pixels that are not what
        they were. thumbnail: where it was kept; a run also ends when one is not like its first, or slow motion would
        pass for none.
        """
        same = change <= self._config.frozen_levels and frame == self._stop
        drifted = thumbnail is not None and self._anchor is not None and self._apart(thumbnail, self._anchor)
        if not same or drifted:
            yield from self.end()
            self._start, self._anchor = (frame if same else frame + 1), None
        elif changed <= self._config.frozen_pixels:
            self._repeats += 1
        if self._anchor is None:
            self._anchor = thumbnail
        self._stop = frame + 1

    def end(self) -> Iterator[tuple[int, int]]:
        """The run that lasts until the end."""
        if self._stop > self._start and 2 * self._repeats >= self._stop - self._start:
            yield self._start, self._stop
        self._start, self._repeats = self._stop, 0

    def _apart(self, one: U8, other: U8) -> bool:
        return bool(np.abs(one.astype(np.int16) - other).max() > self._config.frozen_levels)
