"""What the jobs that walk an archive have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Protocol

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.cluster.dispatch import Dispatcher, RayConfig, cluster
from hf2vad.cluster.stop import Stop
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK
from hf2vad.cubes.settings import DetectorConfig
from hf2vad.errors import ConfigError, StoppedError
from hf2vad.storage import absolute
from hf2vad.threads import prefetch
from hf2vad.walk.counts import Tally
from hf2vad.walk.limits import FrameSpan
from hf2vad.walk.monitor import Watch
from hf2vad.walk.record import RunRecord
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.walk import ALL, Extent, Steps, walk

LISTED_TOGETHER = 256
"""Videos that the catalogue's thread hands over at once."""


class WalkJob(Protocol):
    """Settings that every walk has."""

    @property
    def out(self) -> str: ...
    @property
    def boxes(self) -> str: ...
    @property
    def detector(self) -> DetectorConfig: ...
    @property
    def frames(self) -> str: ...
    @property
    def shard_frames(self) -> int: ...
    @property
    def grace_seconds(self) -> float: ...
    @property
    def breaker(self) -> BreakerConfig: ...
    @property
    def ray(self) -> RayConfig: ...


def run_walk(
    name: str,
    job: WalkJob,
    work: Steps,
    videos: Iterator[Video],
    *,
    use_gpu: bool,
    extra: dict[str, Any],
    settle: Callable[[Dispatcher], tuple[Steps, dict[str, Any]]] | None = None,
    extent: Extent = ALL,
    then: Callable[[Dispatcher, Stop], dict[str, Any]] | None = None,
) -> int:
    """Walk over `videos` on a Ray cluster, put and print the run's record, and return the exit code.

    `settle`: gives the work in place of `work`, and more to record, once the cluster can be asked.
    `then`: what is done after the walk, unless the run was told to stop; returns more to record.
    Raises StoppedError after SIGTERM, when something is left.
    """
    ahead = listed_ahead(videos)
    record = RunRecord(name, job, job.out)
    with Stop(job.grace_seconds) as stop, cluster(job.ray), Watch(record, extent.backlog) as watch:
        stop.listen()
        dispatcher = Dispatcher(job.ray, use_gpu=use_gpu)
        watch.begin(dispatcher, extra)
        if settle is not None:
            work, settled = settle(dispatcher)
            extra = {**extra, **settled}
        span = FrameSpan(job.frames)
        tally = walk(
            ahead,
            dispatcher,
            work,
            shard_frames=job.shard_frames,
            span=span,
            label=name,
            extent=extent,
            stop=stop,
            breaker=job.breaker,
            watcher=watch,
        )
        if then is not None and not stop.told:
            extra = {**extra, **then(dispatcher, stop)}
        watch.finish(extra)
    if tally.stopped and stop.told:
        raise StoppedError(f"{what_is_left(tally)}; run the same command again to go on")
    return EXIT_FAILURES if tally.failed else EXIT_OK


def what_is_left(tally: Tally) -> str:
    """What a run that was told to stop has left, in words."""
    begun = f"{tally.left} videos begun are left, with {tally.shards_left} shards" if tally.left else ""
    rest = "" if tally.listed else "the rest of the archive was not looked at"
    return " and ".join(part for part in (begun, rest) if part)


def listed_ahead(videos: Iterator[Video]) -> Iterator[Video]:
    """`videos`, listed by a thread some hundred ahead, so that nobody waits for the store at every folder."""
    batches = iter(lambda: list(islice(videos, LISTED_TOGETHER)), [])
    with closing(prefetch(batches, depth=2)) as ready:
        for batch in ready:
            yield from batch


def absolute_places(job: WalkJob) -> dict[str, Any]:
    """The places of `job` as workers, which run in folders of their own, find them."""
    detector = replace(job.detector, model=absolute(job.detector.model))
    return {name: absolute(getattr(job, name)) for name in ("out", "boxes")} | {"detector": detector}


def some_videos(archive: str, include: tuple[str, ...]) -> Iterator[Video]:
    """The catalogue. Raises ConfigError when it is empty, before a cluster is started for it."""
    videos = catalogue(archive, include)
    first = next(videos, None)
    if first is None:
        raise ConfigError(f"{archive}: no video there{' that matches --include' if include else ''}")
    return chain([first], videos)


def check_walk_options(shard_frames: int, image_fps: float, frames: str, grace_seconds: float) -> None:
    """Raise ConfigError for options that no walk can have."""
    if grace_seconds < 0:
        raise ConfigError(f"--grace-seconds must be at least 0, got {grace_seconds}")
    if shard_frames < 1:
        raise ConfigError(f"--shard-frames must be at least 1, got {shard_frames}")
    if image_fps <= 0:
        raise ConfigError(f"--image-fps must be positive, got {image_fps}")
    FrameSpan(frames).check()


def check_boxes(boxes: str, detector: DetectorConfig) -> None:
    """Raise ConfigError when --boxes and the kind of detector contradict each other."""
    if boxes and detector.kind != "boxes":
        raise ConfigError(
            f"--boxes {boxes} and detector.kind = {detector.kind} contradict each other; give one of them"
        )
    if detector.kind == "boxes" and not boxes:
        raise ConfigError("detector.kind = boxes needs --boxes, a Parquet file with video, frame, x1, y1, x2, y2")
