"""What the walk does with a video when it scores: open it, score its shards, close it. Runs in the workers."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import HALO_BEFORE, Shard
from hf2vad.archive.timeline import Timeline, probe
from hf2vad.config import EventConfig, ExtractionConfig, HealthConfig, LimitsConfig
from hf2vad.errors import MismatchError, NotFoundError
from hf2vad.health.look import Look
from hf2vad.models.bundle import Bundle, load_bundle
from hf2vad.models.device import choose_device
from hf2vad.runtime.dispatch import Call
from hf2vad.runtime.extract import warm_extractor
from hf2vad.runtime.health import judged_health
from hf2vad.runtime.jobs import shown_seconds
from hf2vad.runtime.outputs import known_failure, settle_failures
from hf2vad.runtime.walk import Failure, Opened, Range
from hf2vad.schema import CubeBatch, HealthKind, unpack_metadata
from hf2vad.scoring.engine import EngineName, make_engine
from hf2vad.scoring.events import thresholds
from hf2vad.scoring.final import FinalTables, finalise
from hf2vad.scoring.measure import Measure
from hf2vad.scoring.shard import score_shard
from hf2vad.storage import delete, exists, join, key_path, list_dir, open_parquet, put_table, read_table


@dataclass(frozen=True)
class ScoreWork:
    """What the walk does with a video; travels to the workers."""

    bundle_uri: str
    bundle: Bundle
    """Without weights: each worker reads those itself, once."""
    prefix: str
    extraction: ExtractionConfig
    boxes: str
    image_fps: float
    engine: EngineName
    batch: int
    device: str
    threads: int
    smoothing: int
    events: EventConfig
    health: HealthConfig
    limits: LimitsConfig
    plan: str
    """Hash of what decides a shard's rows beside bundle, video and range."""
    final: str
    """Hash of what decides a video's final tables."""

    def open(self, video: Video) -> Call:
        return Call(open_video, (self, video), None)

    def work(self, shard: Shard) -> Call:
        return Call(score_frames, (self, shard), None)

    def close(self, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]) -> Call:
        return Call(close_video, (self, video, timeline, plan, failures), None)

    def table_uri(self, table: str, video: Video) -> str:
        return join(self.prefix, table, key_path(video.id) + ".parquet")

    def shard_folder(self, video: Video) -> str:
        return join(self.prefix, "shards", key_path(video.id))

    def shard_uri(self, video: Video, frames: Range) -> str:
        return join(self.shard_folder(video), f"{frames[0]:08d}-{frames[1]:08d}.parquet")

    def looks_folder(self, video: Video) -> str:
        return join(self.prefix, "looks", key_path(video.id))

    def looks_uri(self, video: Video, frames: Range) -> str:
        return join(self.looks_folder(video), f"{frames[0]:08d}-{frames[1]:08d}.parquet")

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        return {
            "video": video.id,
            "fingerprint": video.fingerprint,
            "bundle": self.bundle.id,
            "start": frames[0],
            "stop": frames[1],
            "plan": self.plan,
        }


def open_video(work: ScoreWork, video: Video) -> Opened:
    """Look at what is there of `video`, and at the video itself where something is to do."""
    final = work.table_uri("frames", video)
    if exists(final):
        known = unpack_metadata(open_parquet(final).schema_arrow, "frames", final)
        if known["fingerprint"] == video.fingerprint and known["final"] == work.final and known["complete"]:
            return Opened(None, failure=known_failure(work.prefix, video))
    done = frozenset(
        (known["start"], known["stop"])
        for known, _ in _shards_there(work, video)
        if known["fingerprint"] == video.fingerprint and known["plan"] == work.plan
    )
    return Opened(probe(video, image_fps=work.image_fps, limits=work.limits), done)


def _shards_there(work: ScoreWork, video: Video) -> Iterator[tuple[dict[str, Any], str]]:
    """Metadata and URI of each shard table of `video`."""
    for uri in _files(work.shard_folder(video)):
        yield unpack_metadata(open_parquet(uri).schema_arrow, "shard", uri), uri


def _files(folder: str) -> list[str]:
    try:
        return [entry.uri for entry in list_dir(folder) if entry.name.endswith(".parquet")]
    except NotFoundError:
        return []


def score_frames(work: ScoreWork, shard: Shard) -> dict[str, float]:
    """Put the rows of one shard; returns counts."""
    started = time.monotonic()
    counts: dict[str, float] = {"frames": 0, "cubes": 0, "dropped_boxes": 0, "model_loads": 0}
    times: list[float] = []

    def counted(batches: Iterator[CubeBatch]) -> Iterator[CubeBatch]:
        for batch in batches:
            counts["frames"] += 1
            counts["cubes"] += len(batch)
            counts["dropped_boxes"] += batch.dropped
            times.append(batch.pts_s)
            yield batch

    loads = warm_measure.cache_info().misses
    measure = warm_measure(work.bundle_uri, work.bundle.id, work.engine, work.device, work.batch, work.threads)
    counts["model_loads"] = warm_measure.cache_info().misses - loads
    frames: Range = (shard.start, shard.stop)
    look = Look(shard.start, shard.stop)
    table = score_shard(
        shard.video.id,
        counted(warm_extractor(work.extraction, work.boxes).cubes(shard, look)),
        measure,
        calibration=work.bundle.calibration_of(shard.video.id),
        fusion=work.bundle.fusion,
        metadata=work.metadata(shard.video, frames),
    )
    put_table(work.looks_uri(shard.video, frames), look.table(work.metadata(shard.video, frames)))
    put_table(work.shard_uri(shard.video, frames), table)
    gc.collect()  # a closed container and its decoder hold each other, some MB a shard
    return {**counts, "video_s": shown_seconds(times, len(times)), "busy_s": time.monotonic() - started}


@lru_cache(maxsize=1)
def warm_measure(uri: str, bundle_id: str, name: EngineName, device: str, batch: int, threads: int) -> Measure:
    """What this worker measures with, kept from shard to shard. Raises MismatchError for a bundle that changed."""
    torch.set_num_threads(threads)
    bundle = load_bundle(uri)
    if bundle.id != bundle_id:
        raise MismatchError(f"{uri} was bundle {bundle_id} when the run began and is {bundle.id} now")
    chosen = choose_device(device)
    engine = make_engine(name, bundle.build(chosen), device=chosen, batch=batch)
    return Measure.of(engine, bundle.fusion, bundle.density, bundle.perspective)


def close_video(
    work: ScoreWork, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]
) -> dict[str, Any]:
    """Put the final tables of `video`, the frames last, and its failure row where it has one."""
    failed = {frames for failure in failures for frames in failure.ranges}
    scored = [frames for frames in plan if frames not in failed]
    if timeline is None or (plan and not scored):
        return {"failure": settle_failures(work.prefix, video, failures)}
    frames: Range = (plan[0][0], plan[-1][1]) if plan else (0, 0)
    looks = [work.looks_uri(video, shard) for shard in scored]
    health = judged_health(work.health, video, timeline, frames, looks, work.metadata(video, frames))
    tables = _final_tables(work, video, timeline, plan, scored, health.kinds)
    failures = [*failures, *_shortcomings(timeline, tables)]
    reason = settle_failures(work.prefix, video, failures)
    put_table(work.table_uri("health", video), health.table)
    for name in ("objects", "events", "frames"):
        put_table(work.table_uri(name, video), getattr(tables, name))
    if not failed:
        for uri in [*_files(work.shard_folder(video)), *_files(work.looks_folder(video))]:
            delete(uri)
    counts = {"events": tables.events.num_rows, "undecodable": tables.undecodable, **health.counts}
    return {"failure": reason, **counts}


def _final_tables(
    work: ScoreWork,
    video: Video,
    timeline: Timeline,
    plan: list[Range],
    scored: list[Range],
    health: Sequence[HealthKind | None],
) -> FinalTables:
    start, stop = (plan[0][0], plan[-1][1]) if plan else (0, 0)
    calibration = work.bundle.calibration_of(video.id)
    metadata = {
        **work.metadata(video, (start, stop)),
        "final": work.final,
        "complete": len(scored) == len(plan),
        "smoothing": work.smoothing,
        "thresholds": list(thresholds(work.events, calibration)),
        "width": timeline.width,
        "height": timeline.height,
        "frame_count": timeline.frame_count,
    }
    return finalise(
        video.id,
        [read_table(work.shard_uri(video, frames)) for frames in scored],
        start=start,
        pts_s=np.asarray(timeline.pts_s[start:stop]),
        calibration=calibration,
        fusion=work.bundle.fusion,
        smoothing=work.smoothing,
        events=work.events,
        metadata=metadata,
        health=health,
    )


def _shortcomings(timeline: Timeline, tables: FinalTables) -> list[Failure]:
    """What to say of a video of which frames remain without a score."""
    found = []
    if timeline.frame_count <= HALO_BEFORE:
        least = HALO_BEFORE + 1
        found.append(Failure(f"{timeline.frame_count} frames, a cube needs {least}: no frame can be scored", []))
    if timeline.truncated:
        found.append(Failure(f"{timeline.truncated}; those were scored", []))
    if tables.undecodable:
        found.append(Failure(f"{tables.undecodable} frames have no score because pictures cannot be decoded", []))
    return found
