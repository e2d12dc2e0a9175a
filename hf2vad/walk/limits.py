"""Which part of every video a walk is over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hf2vad.archive.shards import Range
from hf2vad.errors import ConfigError


@dataclass(frozen=True)
class FrameSpan:
    """A part of every video: `100:500` in frames, `:50%` in shares, `:` all of it."""

    text: str = ":"

    def of(self, frame_count: int) -> Range:
        """First frame and the one after the last, for a video of `frame_count` frames."""
        start, stop = (self._position(part, frame_count, default) for part, default in self._parts(frame_count))
        return min(start, frame_count), max(min(stop, frame_count), min(start, frame_count))

    def check(self) -> None:
        """Raise ConfigError for a span that cannot be read."""
        self.of(1000)

    def _parts(self, frame_count: int) -> Iterator[tuple[str, int]]:
        parts = self.text.split(":")
        if len(parts) != 2:
            raise ConfigError(f"--frames must look like 0:500, :50% or 50%:, got {self.text!r}")
        yield from zip(parts, (0, frame_count), strict=True)

    def _position(self, part: str, frame_count: int, default: int) -> int:
        if not part:
            return default
        if share := re.fullmatch(r"(\d+(?:\.\d+)?)%", part):
            return round(min(float(share[1]), 100.0) * frame_count / 100)
        if re.fullmatch(r"\d+", part):
            return int(part)
        raise ConfigError(f"--frames must look like 0:500, :50% or 50%:, got {self.text!r}")
