"""Shared parts of the jobs that walk an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.catalog import EVERYTHING, Video, catalogue, no_video
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.zone_map import Zones
from hf2vad.cluster.dispatch import Cluster, open_cluster
from hf2vad.cluster.stop import Stop
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK
from hf2vad.cubes.detect import absolute_detector
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig
from hf2vad.errors import ConfigError, StoppedError
from hf2vad.plurals import count_words
from hf2vad.review.zone_store import read_zones
from hf2vad.storage import absolute, require_writable
from hf2vad.threads import prefetch
from hf2vad.walk.counts import RunCounts
from hf2vad.walk.limits import Plan, ShardPlan, WalkLimits
from hf2vad.walk.monitor import RunMonitor
from hf2vad.walk.record import RunRecord
from hf2vad.walk.settings import FrameRange, WalkSettings
from hf2vad.walk.task import WalkConfig, WalkTask
from hf2vad.walk.walk import Walk

LISTED_TOGETHER = 256
"""Videos that the catalogue's thread hands over at once."""


@dataclass(frozen=True, kw_only=True)
class BesideWalk:
    """Steps of a job on the cluster of its walk, before and after it."""

    prepare: Callable[[Cluster, Stop], tuple[WalkTask, dict[str, Any]]] | None = None
    """Gives the task in place of the walk's, and more to record, once the cluster can be asked; no video is asked for
    before."""
    then: Callable[[Cluster, Stop], dict[str, Any]] | None = None
    """Done after the walk, unless SIGTERM told the run to stop; returns more to record."""


THE_WALK_ALONE = BesideWalk()


def run_walk(
    name: str,
    job: WalkSettings,
    task: WalkTask,
    videos: Iterator[Video],
    *,
    plan: Plan | None = None,
    beside: BesideWalk = THE_WALK_ALONE,
    limits: WalkLimits | None = None,
    passed: PassedOver | None = None,
) -> int:
    """Walk over `videos` on the cluster that `job.ray` names, put and print the run's record, and return the exit code.

    `plan`: what is walked of each video; none: what `job` says.
    `passed`: what listing `videos` passes over. Raises StoppedError after SIGTERM, when something is left.
    """
    require_writable(job.out)
    ahead, limits = listed_ahead(videos), limits or WalkLimits()
    record = RunRecord(name, job, job.out)
    extra: dict[str, Any] = dict(task.layout.about)
    with (
        Stop(job.grace_seconds, limits.ends) as stop,
        open_cluster(job.ray, use_gpu=task.use_gpu) as cluster,
        RunMonitor(record, limits.backlog) as monitor,
    ):
        stop.listen()
        monitor.begin(cluster, extra)
        if beside.prepare is not None:
            task, prepared = beside.prepare(cluster, stop)
            extra = {**extra, **prepared}
        plan = plan or shard_plan(job)
        walk = Walk(cluster, task, plan, limits=limits, breaker=job.breaker, stop=stop, monitor=monitor)
        counts = walk.run(ahead, name)
        if beside.then is not None and not stop.signalled:
            extra = {**extra, **beside.then(cluster, stop)}
        if passed is not None and passed.total:
            extra = {**extra, "passed_over": passed.rows()}
        monitor.finish(extra)
    if counts.stopped and stop.signalled:
        raise StoppedError(f"{what_is_left(counts)}; run the same command again to go on")
    return EXIT_FAILURES if counts.failed else EXIT_OK


def shard_plan(job: WalkSettings) -> ShardPlan:
    """Shard plan of `job`."""
    return ShardPlan(job.shard_frames, FrameRange(job.frames), job.extraction)


def walk_config(
    job: WalkSettings, extraction: ExtractionConfig, *, frame_stats: bool = False, tries: int = 0
) -> WalkConfig:
    """Settings by which the workers of `job` open videos and cut cubes. `extraction`: with the detector resolved."""
    return WalkConfig(
        extraction=extraction,
        boxes=job.boxes,
        image_fps=job.image_fps,
        limits=job.limits,
        threads=max(1, int(job.ray.cpus)),
        frame_stats=frame_stats,
        profile=job.profile,
        tries=tries,
    )


def what_is_left(counts: RunCounts) -> str:
    """Work left by a run that stopped before its end, in words."""
    left = f"{count_words(counts.left, 'video')} begun, with {count_words(counts.shards_left, 'shard')}"
    begun = f"left: {left}" if counts.left else ""
    rest = "" if counts.listed else "the rest of the archive was not looked at"
    return " and ".join(part for part in (begun, rest) if part)


def listed_ahead(videos: Iterator[Video]) -> Iterator[Video]:
    """`videos`, listed by a thread some hundred ahead, so that nobody waits for the store at every folder."""
    batches = iter(lambda: list(islice(videos, LISTED_TOGETHER)), [])
    with closing(prefetch(batches, depth=2)) as ready:
        for batch in ready:
            yield from batch


def absolute_places(job: WalkSettings) -> dict[str, Any]:
    """The places of `job` as workers, which run in folders of their own, find them."""
    places = {name: absolute(getattr(job, name)) for name in ("out", "boxes")}
    return places | {"detector": absolute_detector(job.detector)}


def some_videos(
    archive: str, include: tuple[str, ...], passed: PassedOver | None = None, scope: PathFilter = EVERYTHING
) -> Iterator[Video]:
    """The catalogue of what is in `scope`; `passed` is told of what it passes over.

    Raises ConfigError when it is empty, before a cluster is started for it.
    """
    videos = catalogue(archive, include, scope, passed)
    first = next(videos, None)
    if first is None:
        scope.check_fits(video.path for video in catalogue(archive, include))
        raise no_video(archive, passed, " that matches --include" if include else "")
    return chain([first], videos)


def zones_of(uri: str, sources: Sequence[ArchiveRef]) -> Zones:
    """The zones that --zones names. Raises ConfigError where there are none, or for a camera that no archive has."""
    zones = read_zones(absolute(uri))
    zones.check_cameras(sources)
    return zones


def check_boxes(boxes: str, detector: DetectorConfig) -> None:
    """Raise ConfigError when --boxes and the kind of detector contradict each other."""
    if boxes and "boxes" not in detector.kinds:
        raise ConfigError(
            f"--boxes {boxes} and detector.kinds = {detector.kind} contradict each other; give one of them"
        )
    if "boxes" in detector.kinds and not boxes:
        raise ConfigError("detector.kinds with boxes needs --boxes, a Parquet file with video, frame, x1, y1, x2, y2")
