"""What a job does to an archive, video by video: the protocol that the walk drives. It travels to the workers.

The walk opens videos, cuts them into shards and their cubes, counts, records where time goes, puts and removes files,
marks what is finished and puts failure rows (walk/worker.py). A task says what a shard's rows are, and what a finished
video's tables are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.archive.shards import Range, Shard
from hf2vad.archive.timeline import Timeline
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.schema import CubeBatch
from hf2vad.tables.layout import Metadata, RunLayout

CubeStream = Generator[CubeBatch, None, None]
"""The cubes of a shard, one batch a frame, in order."""


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """How the workers of a walk open videos and cut their cubes."""

    extraction: ExtractionConfig
    """What a cube holds."""
    boxes: str
    """Parquet file of boxes to use instead of finding them; empty: they are found."""
    image_fps: float
    """Frame rate of folders of images."""
    limits: LimitsConfig
    """Above which sizes a video fails."""
    threads: int
    """CPUs of a worker, and so the threads of what computes in it."""
    frame_stats: bool
    """Whether each shard notes the frame stats that the health of its video is judged by."""
    profile: bool = False
    """Whether single spans are kept for a trace."""
    tries: int = 0
    """Runs that may fail on a video before it is left alone; 0: any number."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a video consists of when it is finished."""

    timeline: Timeline
    plan: Sequence[Range]
    """Its shards, in order."""
    done: Sequence[Range]
    """Those that have a result."""

    @property
    def frames(self) -> Range:
        """Frames that the plan covers; (0, 0) for none."""
        return (self.plan[0][0], self.plan[-1][1]) if self.plan else (0, 0)

    @property
    def complete(self) -> bool:
        """Whether every shard has a result."""
        return len(self.done) == len(self.plan)


@dataclass(frozen=True, eq=False)
class VideoResult:
    """What a task makes of a video."""

    tables: Sequence[tuple[str, pa.Table]] = ()
    """Names and tables to put, in this order; the table that vouches for the others comes last."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures for the run's record."""
    shortcomings: Sequence[str] = ()
    """Why the result is not what it should be, for the video's failure row, although no shard failed for it."""


class WalkTask(Protocol):
    """What a walk does with the videos of an archive; a frozen dataclass, pickled with every call."""

    lane: ClassVar[str]
    """What the thread that takes rows from `shard` does, in profiles and metrics."""

    @property
    def layout(self) -> RunLayout:
        """Where everything lies."""

    @property
    def config(self) -> WalkConfig:
        """How videos are opened and cubes are cut."""

    @property
    def use_gpu(self) -> bool:
        """Whether its calls can make use of a GPU."""

    def load(self) -> Mapping[str, float]:
        """Make what this worker keeps from shard to shard, as far as it is not there; returns figures to count.

        A figure above 0 says that something was loaded.
        """

    def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
        """The rows of a shard as tables of the layout's `shard_schema`, each put as a row group as soon as it is there.

        `cubes`: one batch for each frame of `shard`, in order; close it, or take all of it. Memory must not depend on
        the length of the shard where its rows are large. What it raises fails the shard.
        """

    def finish(self, video: Video, parts: Parts) -> VideoResult:
        """The final tables of `video`, whose shards lie where the layout says. Twice gives the same."""

    def reuse(self, video: Video, completion: Metadata) -> VideoResult | None:
        """What becomes final tables of another run without any frame decoded; none where nothing does.

        `completion`: what is said of the tables that are there (`RunLayout.completion`).
        """
