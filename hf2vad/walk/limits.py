"""How much of an archive a walk takes on, and in which pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import Range, Shard, cut_shards
from hf2vad.archive.timeline import Timeline
from hf2vad.cluster.stop import StopReason
from hf2vad.errors import ConfigError
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.markers import CompletionIndex


@dataclass(frozen=True)
class FrameRange:
    """A part of every video: `100:500` in frames, `:50%` in shares, `:` all of it."""

    text: str = ":"

    def within(self, frame_count: int) -> Range:
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


@dataclass(frozen=True)
class ShardPlan:
    """How videos are cut into shards."""

    shard_frames: int
    """Frames of a shard, at most."""
    frames: FrameRange = field(default_factory=FrameRange)
    """The part of every video that is walked."""

    def shards(self, video: Video, timeline: Timeline) -> Iterator[Shard]:
        """The shards of a video, in order."""
        start, stop = self.frames.within(timeline.frame_count)
        return cut_shards(video, timeline, self.shard_frames, start=start, stop=stop)

    def count(self, timeline: Timeline) -> int:
        """Frames of a video that are walked."""
        start, stop = self.frames.within(timeline.frame_count)
        return stop - start


@dataclass(frozen=True)
class WalkLimits:
    """What of an archive one run takes on; by default all of it."""

    index: CompletionIndex | None = None
    """Which videos earlier runs finished, asked in the order of the walk's videos; none: by the layout's marks."""
    videos: int = 0
    """New videos, at most; 0: all."""
    ends: Mapping[StopReason, Callable[[], bool]] = field(default_factory=dict)
    """When no more is started, beside SIGTERM."""
    backlog: Backlog = field(default_factory=Backlog)
    """What else there is to take on, where somebody asks."""
