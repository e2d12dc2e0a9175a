"""Limits of a walk, and the cutting of videos into shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hf2vad.archive.catalog import Video
from hf2vad.cluster.stop import StopReason
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.video.shards import Shard, cut_shards
from hf2vad.video.timeline import Timeline
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.markers import CompletionIndex
from hf2vad.walk.settings import FrameRange


class Plan(Protocol):
    """Part of each video that is walked, and its shards."""

    def shards(self, video: Video, timeline: Timeline) -> Iterator[Shard]:
        """The shards of a video, in order."""

    def count(self, video: Video, timeline: Timeline) -> int:
        """Frames of a video that are walked."""


@dataclass(frozen=True)
class ShardPlan:
    """Division of videos into shards."""

    shard_frames: int
    """Frames of a shard, at most."""
    frames: FrameRange = field(default_factory=FrameRange)
    """The part of every video that is walked."""
    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    """Settings that the shards are extracted by."""

    def shards(self, video: Video, timeline: Timeline) -> Iterator[Shard]:
        start, stop = self.frames.within(timeline.frame_count)
        return self.cut(video, timeline, start, stop)

    def cut(self, video: Video, timeline: Timeline, start: int, stop: int) -> Iterator[Shard]:
        """The shards of frames `start` … `stop` of a video, in order."""
        return cut_shards(video, timeline, self.shard_frames, start=start, stop=stop, **self.extraction.cutting)

    def count(self, video: Video, timeline: Timeline) -> int:
        start, stop = self.frames.within(timeline.frame_count)
        return stop - start


@dataclass(frozen=True)
class WalkLimits:
    """Limits on the part of an archive that one run covers. Default: all of it."""

    index: CompletionIndex | None = None
    """Videos that earlier runs finished, in the order of the walk's videos. None: the layout's marks, by name."""
    videos: int = 0
    """New videos, at most; 0: all."""
    ends: Mapping[StopReason, Callable[[], bool]] = field(default_factory=dict)
    """Conditions under which no more is started, beside SIGTERM."""
    backlog: Backlog = field(default_factory=Backlog)
    """Counts what else there is to take on, for metrics and the record."""
