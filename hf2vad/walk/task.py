"""The protocol of a task: what a job does to the videos of an archive.

The walk opens videos, cuts them into shards and cubes, counts, measures time, puts and removes files, marks finished
videos and puts failure rows (walk/worker.py). A task says what the rows of a shard and the tables of a video are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.schema import CubeBatch
from hf2vad.tables.layout import Metadata, RunLayout
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline

CubeStream = Generator[CubeBatch, None, None]
"""The cubes of a shard, one batch a frame, in order."""


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """Settings by which the workers of a walk open videos and cut cubes."""

    extraction: ExtractionConfig
    """Settings that decide a cube."""
    boxes: str
    """Parquet file of boxes to use instead of finding them; empty: they are found."""
    image_fps: float
    """Frame rate of folders of images."""
    limits: LimitsConfig
    """Sizes above which a video fails."""
    threads: int
    """CPUs of a worker: threads of what computes in it."""
    frame_stats: bool
    """True if shards write frame statistics, from which the health of their video is judged."""
    profile: bool = False
    """True if single spans are kept for a trace."""
    tries: int = 0
    """Runs that may fail on a video before it is left alone; 0: any number."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The shards of a video that is to be finished."""

    timeline: Timeline
    plan: Sequence[Range]
    """All its shards, in order."""
    done: Sequence[Range]
    """The shards that have a result."""

    @property
    def frames(self) -> Range:
        """Frames that the plan covers; (0, 0) for an empty plan."""
        return (self.plan[0][0], self.plan[-1][1]) if self.plan else (0, 0)

    @property
    def complete(self) -> bool:
        """True if every shard has a result."""
        return len(self.done) == len(self.plan)


@dataclass(frozen=True, eq=False)
class VideoResult:
    """Result of a task for one video."""

    tables: Sequence[tuple[str, pa.Table]] = ()
    """Names and tables to put, in this order. The table that vouches for the others comes last."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures for the run's record."""
    shortcomings: Sequence[str] = ()
    """Reasons for the video's failure row where no shard failed, such as a truncated file."""


class WalkTask(Protocol):
    """Work that a walk does on the videos of an archive. A frozen dataclass, pickled with every call."""

    lane: ClassVar[str]
    """Name in profiles and metrics of the thread that runs `shard`."""

    @property
    def layout(self) -> RunLayout:
        """URIs, states and metadata of what is put."""

    @property
    def config(self) -> WalkConfig:
        """Settings by which videos are opened and cubes are cut."""

    @property
    def use_gpu(self) -> bool:
        """True if the calls can use a GPU."""

    def load(self) -> Mapping[str, float]:
        """Load what this worker keeps from shard to shard, unless it is there; returns figures for the run's record.

        A figure above 0 says that something was loaded.
        """

    def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
        """The rows of a shard, as tables of the layout's `shard_schema`. Each becomes a row group as soon as it comes.

        `cubes`: one batch for each frame of `shard`, in order; to be taken to its end, or closed. Memory must not grow
        with the length of the shard where rows are large. An error that is raised fails the shard.
        """

    def finish(self, video: Video, parts: Parts) -> VideoResult:
        """The final tables of `video`, from the shards in `parts`, which lie where the layout says.

        The same parts give the same tables: a video may be finished twice.
        """

    def reuse(self, video: Video, completion: Metadata) -> VideoResult | None:
        """Final tables made of those of another run, without decoding a frame. None where that cannot be.

        `completion`: metadata of the final table that is there (`RunLayout.completion`).
        """
