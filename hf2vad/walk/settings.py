"""Which part of each video a walk takes on, and when the run ends early."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hf2vad.errors import ConfigError
from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """When so much fails that the run ends (exit code 2); what is done is kept."""

    calls: int = 20
    """The last so many calls: the run ends when nearly all of them were lost to dead workers or failing storage, each
    after its own retries. Such failures are not held against the videos. 0: never."""

    videos: int = 300
    """The same for failures of any cause, a video counting once: every video fails when the decoder is missing, but an
    archive may well have 200 corrupt ones in a row. 0: never."""

    share: float = 0.95
    """What "nearly all" is."""

    def __post_init__(self) -> None:
        for name in ("calls", "videos"):
            require(getattr(self, name) >= 0, f"breaker.{name} must be at least 0, got {getattr(self, name)}")
        require(0 < self.share <= 1, f"breaker.share must lie above 0 and up to 1, got {self.share}")


@dataclass(frozen=True)
class FrameRange:
    """A part of every video: `100:500` in frames, `:50%` in shares, `:` all of it."""

    text: str = ":"

    def within(self, frame_count: int) -> tuple[int, int]:
        """First frame and the one after the last, for a video of `frame_count` frames."""
        start, stop = (self._position(part, frame_count, default) for part, default in self._parts(frame_count))
        return min(start, frame_count), max(min(stop, frame_count), min(start, frame_count))

    def check(self) -> None:
        """Raise ConfigError for a range that cannot be read."""
        self.within(1000)

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


def check_walk_options(shard_frames: int, image_fps: float, frames: str, grace_seconds: float) -> None:
    """Raise ConfigError for options that no walk can have."""
    require(grace_seconds >= 0, f"--grace-seconds must be at least 0, got {grace_seconds}")
    require(shard_frames > 0, f"--shard-frames must be at least 1, got {shard_frames}")
    require(image_fps > 0, f"--image-fps must be positive, got {image_fps}")
    FrameRange(frames).check()
