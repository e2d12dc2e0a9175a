"""The three calls of a walk, as its workers make them: open a video, work on a shard, close a video."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow.parquet as pq

from hf2vad.archive.catalog import Video
from hf2vad.cluster.warm import Warm
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import NotFoundError
from hf2vad.health.frame_stats import FrameStats
from hf2vad.profile import SPANS_PER_SHARD, recording, span
from hf2vad.schema import pack_metadata
from hf2vad.storage import atomic_writer, delete, put_table
from hf2vad.tables.layout import Metadata, RunLayout, list_shards
from hf2vad.video.sampled import packed
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline, probe, shown_seconds
from hf2vad.video.times import usual_fps
from hf2vad.walk.failures import Failure, failure_reason, put_failure_row, quarantine_reason
from hf2vad.walk.markers import Marks
from hf2vad.walk.task import CubeStream, Parts, VideoResult, WalkTask


@dataclass(frozen=True, eq=False)
class Opened:
    """A video as its opening left it."""

    timeline: Timeline | None
    """None for a video with nothing left to do."""
    done: frozenset[Range] = frozenset()
    """Shards whose result is on storage already."""
    failure: str | None = None
    """Reason in the failure row of a video that has no work left."""
    counts: dict[str, float] = field(default_factory=dict)
    """Figures for the run's record."""


def open_video(task: WalkTask, video: Video) -> Opened:
    """See what is there of `video`, reuse what can be, and probe the video where something is left to do."""
    layout, config = task.layout, task.config
    completion = layout.completion(video)
    if layout.is_final(video, completion):
        return Opened(None, failure=_mark_finished(task, video, failure_reason(layout, video)))
    if completion is not None and (result := task.reuse(video, completion)) is not None:
        Marks(layout.marks).remove(video, layout.state_of(completion))
        _put_tables(layout, video, result)
        failure = _mark_finished(task, video, failure_reason(layout, video))
        return Opened(None, failure=failure, counts=dict(result.counts))
    if config.tries and (reason := quarantine_reason(layout, video, config.tries)):
        return Opened(None, failure=reason, counts={"parked": 1})
    if layout.keeps_shards:
        _remove_stale(task, video, completion)
    state = layout.shard_state(video)
    shards = list_shards(layout.shard_folder(video))
    done = frozenset(frames for _, frames, shard_state in shards if shard_state == state)
    return Opened(probe(video, image_fps=config.image_fps, limits=config.limits, decode=config.extraction.decode), done)


def run_shard(task: WalkTask, shard: Shard) -> dict[str, Any]:
    """Put the rows of one shard; returns figures for the run's record, and as `profile` a Report of where time went."""
    started = time.monotonic()
    label = f"{shard.video.id} {shard.start}-{shard.stop}"
    with recording(task.lane, label=label, keep=SPANS_PER_SHARD if task.config.profile else 0) as recorded:
        counts = _run_shard(task, shard)
    return {**counts, "busy_s": time.monotonic() - started, "profile": recorded.report()}


def close_video(
    task: WalkTask, video: Video, timeline: Timeline | None, plan: Sequence[Range], failures: Sequence[Failure]
) -> dict[str, Any]:
    """Put the final tables of `video`, its failure row where it has one, and its mark; returns figures, and the
    reason in the failure row as `failure`.

    `timeline`: None for a video that cannot be opened. `plan`: its shards. Where another run has finished the video
    meanwhile, and removed its shards, only the mark is put.
    """
    layout = task.layout
    completion = layout.completion(video)
    try:
        if not layout.is_final(video, completion):
            return _close(task, video, timeline, plan, failures, completion)
    except NotFoundError:
        if not layout.is_final(video, layout.completion(video)):
            raise
    return {"failure": _mark_finished(task, video, failure_reason(layout, video))}


def leave_video(*_: Any) -> dict[str, Any]:
    """Alternative to `close_video`: writes nothing, and whoever finishes the video opens it again."""
    return {}


@Warm
def warm_extractor(extraction: ExtractionConfig, boxes: str, threads: int) -> Extractor:
    """The extractor of this process, kept from shard to shard."""
    return Extractor(extraction, boxes, threads=threads)


def _run_shard(task: WalkTask, shard: Shard) -> dict[str, float]:
    layout, config, frames = task.layout, task.config, (shard.start, shard.stop)
    metadata = layout.metadata(shard.video, frames)
    if shard.fps:
        metadata["worked"] = packed(shard.worked, *frames)
    if layout.says_rate:
        metadata["fps"] = usual_fps(shard.pts_s) if shard.timed else 0.0
    with span("load"):
        extractors = warm_extractor.loads
        extractor = warm_extractor(config.extraction, config.boxes, config.threads)
        loaded = task.load()
        if extractors != warm_extractor.loads or any(loaded.values()):
            _freeze()
    stats = FrameStats(*frames, (shard.width, shard.height), shard.earlier) if config.frame_stats else None
    counter = _CubeCounter()
    cubes = counter.counted(extractor.cubes(shard, stats, layout.zones.of(shard.video)))
    with closing(task.shard(shard, cubes)) as tables:
        first = next(tables, None)  # before the file is begun: a worker that is killed leaves less of it
        schema = layout.shard_schema.with_metadata(pack_metadata(layout.shard_table, metadata))
        with (
            atomic_writer(layout.shard_uri(shard.video, frames)) as file,
            pq.ParquetWriter(file, schema, **layout.shard_format) as writer,
        ):
            for table in chain([] if first is None else [first], tables):
                with span("write"):
                    writer.write_table(table)
            if stats is not None:
                with span("write"):
                    put_table(layout.stats_uri(shard.video, frames), stats.table(metadata))
    gc.collect()  # a closed container and its decoder hold each other, some MB a shard
    return {**counter.figures(), **loaded}


def _freeze() -> None:
    """Keep modules and networks from the collector: looking through them took it 0.05 to 0.2 s a shard."""
    gc.unfreeze()  # of what stayed until now, some may be garbage
    gc.collect()
    gc.freeze()


class _CubeCounter:
    """Counts the cubes of a shard as they pass."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("frames", "cubes", "undecodable", "dropped_boxes"), 0)
        self._times: list[float] = []

    def counted(self, cubes: CubeStream) -> CubeStream:
        """`cubes`, counted."""
        with closing(cubes):
            for batch in cubes:
                self._counts["frames"] += 1
                self._counts["cubes"] += len(batch)
                self._counts["undecodable"] += batch.status == "undecodable"
                self._counts["dropped_boxes"] += batch.dropped
                self._times = [*self._times[:1], batch.pts_s]
                yield batch

    def figures(self) -> dict[str, float]:
        """The counts, and the seconds of video that they are of."""
        return {**self._counts, "video_s": shown_seconds(self._times, self._counts["frames"])}


def _close(
    task: WalkTask,
    video: Video,
    timeline: Timeline | None,
    plan: Sequence[Range],
    failures: Sequence[Failure],
    completion: Metadata | None,
) -> dict[str, Any]:
    layout = task.layout
    failed = {frames for failure in failures for frames in failure.ranges}
    done = [frames for frames in plan if frames not in failed]
    if completion is not None:
        Marks(layout.marks).remove(video, layout.state_of(completion))
    result = VideoResult() if timeline is None else task.finish(video, Parts(timeline, plan, done))
    shortcomings = [Failure(reason) for reason in result.shortcomings]
    reason = put_failure_row(layout, video, [*failures, *shortcomings])
    if result.tables:
        layout.withdraw(video)  # or, after a kill, it would vouch for tables of another run
        _put_tables(layout, video, result)
    if not failures:
        layout.vouch(video, plan)
        _mark_finished(task, video, reason)
    return {"failure": reason, **result.counts}


def _put_tables(layout: RunLayout, video: Video, result: VideoResult) -> None:
    for name, table in result.tables:
        put_table(layout.table_uri(name, video), table)


def _mark_finished(task: WalkTask, video: Video, failure: str | None) -> str | None:
    """Remove the files that a finished video no longer needs, then put its mark; returns `failure`."""
    layout = task.layout
    for folder in _folders(task, video, shards=not layout.keeps_shards):
        for uri, _, _ in list(list_shards(folder)):
            delete(uri)
    Marks(layout.marks).put(video, layout.state(video), failed=failure is not None)
    return failure


def _remove_stale(task: WalkTask, video: Video, completion: Metadata | None) -> None:
    """Remove files of another plan, or of the video as it was: first what says that they are complete."""
    layout = task.layout
    if completion is not None:
        Marks(layout.marks).remove(video, layout.state_of(completion))
        layout.withdraw(video)
    state = layout.shard_state(video)
    for folder in _folders(task, video, shards=True):
        for uri, _, shard_state in list(list_shards(folder)):
            if shard_state != state:
                delete(uri)


def _folders(task: WalkTask, video: Video, *, shards: bool) -> Iterator[str]:
    """The folders with a file for each shard of `video`."""
    if shards:
        yield task.layout.shard_folder(video)
    if task.config.frame_stats:
        yield task.layout.stats_folder(video)
