"""Settings of a walk: which part of each video it takes on, in which pieces, and when the run ends early."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hf2vad.archive.settings import LimitsConfig
from hf2vad.cluster.settings import GRACE_SECONDS, RayConfig
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import ConfigError
from hf2vad.settings import require, require_rate


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """Limits on failures that end the run with exit code 2. Finished work is kept."""

    calls: int = 20
    """The last so many calls: the run ends when nearly all of them were lost to dead workers or failing storage, each
    after its own retries. Such failures are not held against the videos. 0: never."""

    videos: int = 300
    """Consecutive failed videos, of any cause, that end the run. Every video fails if the decoder is missing, but an
    archive may well have 200 corrupt ones in a row. 0: never."""

    share: float = 0.95
    """Share of failed videos that counts as nearly all."""

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


@dataclass(frozen=True, kw_only=True)
class WalkSettings(ExtractionConfig):
    """Settings of every job that walks an archive and cuts its cubes."""

    archive: str | tuple[str, ...]
    """Archive to walk: folder or s3://bucket/prefix with video files and folders of numbered images."""

    out: str
    """Folder or s3://bucket/prefix of what the job puts."""

    boxes: str = ""
    """Parquet file of boxes (video, frame, x1, y1, x2, y2) to use instead of finding them."""

    include: tuple[str, ...] = ()
    """Only videos whose path in the archive, or name, matches one of these patterns, such as '*.avi'."""

    frames: str = ":"
    """Part of every video: 0:500 in frames, :50% or 50%: in shares."""

    shard_frames: int = 200
    """Frames of one unit of work."""

    image_fps: float = 0.0
    """Frames a second of folders of images. 0: nobody knows; then times count 25 a second, smoothing and events count
    frames, and every frame is worked on."""

    profile: bool = False
    """Write a trace of the first shards, <out>/runs/<run>.trace.json.gz, and print where time went."""

    grace_seconds: float = GRACE_SECONDS
    """Seconds that running shards may take to finish after SIGTERM. After that, or at a second SIGTERM, they are
    dropped."""

    limits: LimitsConfig = field(default_factory=LimitsConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    def __post_init__(self) -> None:
        require(self.grace_seconds >= 0, f"--grace-seconds must be at least 0, got {self.grace_seconds}")
        require(self.shard_frames > 0, f"--shard-frames must be at least 1, got {self.shard_frames}")
        require_rate("--image-fps", self.image_fps)
        FrameRange(self.frames).check()
