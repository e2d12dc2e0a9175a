"""A video that a walk has open, and the tags that say what each call of a walk is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hf2vad.archive.catalog import Video
from hf2vad.cluster.policy import Cause
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline
from hf2vad.walk.failures import Failure

LOST_SHARDS = 5
"""Shards of a video that may lose their workers; then the rest of it is not tried, or one video could take a night."""


@dataclass(eq=False)
class OpenVideo:
    """A video between its opening and its closing."""

    video: Video
    timeline: Timeline
    shards: Iterator[Shard]
    """Shards that were not taken yet."""
    done: frozenset[Range]
    """Shards whose result was on storage when the video was opened."""
    plan: list[Range] = field(default_factory=list)
    """Shards that were taken, in order."""
    running: int = 0
    """Shards that workers are at, or that wait for one."""
    failures: list[Failure] = field(default_factory=list)
    begun: bool = False
    """True if no more shards are to be started."""
    left: int = 0
    """Shards that are left for another run."""

    @property
    def hopeless(self) -> bool:
        """True if the video has killed too many workers to be tried again."""
        return sum(failure.cause is Cause.WORKER for failure in self.failures) >= LOST_SHARDS


@dataclass(frozen=True, eq=False)
class Opening:
    """Tag of the call that opens `video`; its value is an Opened."""

    video: Video


@dataclass(frozen=True, eq=False)
class Working:
    """Tag of the call that works on one shard; its value is a dict of counts."""

    opened: OpenVideo
    frames: Range

    @property
    def video(self) -> Video:
        return self.opened.video


@dataclass(frozen=True, eq=False)
class Closing:
    """Tag of the call that closes `video`; its value is a dict of counts, and the failure row's reason as `failure`."""

    video: Video


Tag = Opening | Working | Closing
