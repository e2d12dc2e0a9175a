"""What the walk does with a video when it scores: open it, score its shards, close it. Runs in the workers."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.archive.shards import HALO_BEFORE, Range, Shard
from hf2vad.archive.timeline import Timeline, probe, shown_seconds
from hf2vad.bundle.bundle import same_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.cluster.dispatch import Call
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.engines import EngineSpec, make_engine
from hf2vad.errors import NotFoundError
from hf2vad.hashes import hash_of
from hf2vad.health.judge import judged_health
from hf2vad.health.look import Look
from hf2vad.health.settings import HealthConfig
from hf2vad.jobs.extract import warm_extractor
from hf2vad.models.device import choose_device
from hf2vad.profile import SPANS_PER_SHARD, recording, span
from hf2vad.schema import CubeBatch, HealthKind, pack_metadata, unpack_metadata
from hf2vad.scoring.events import thresholds
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.final import FinalTables, event_table, finalise
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import EventConfig
from hf2vad.scoring.shard import score_shard
from hf2vad.storage import delete, exists, join, key_path, open_parquet, put_table, read_table
from hf2vad.walk.markers import Marks, list_shards, shard_name
from hf2vad.walk.record import known_failure, parked, settle_failures
from hf2vad.walk.walk import Failure, Opened


@dataclass(frozen=True)
class ScoreWork:
    """What the walk does with a video; travels to the workers."""

    bundle_uri: str
    bundle: BundleSettings
    """Each worker reads the bundle's arrays itself, once."""
    features: tuple[str, ...]
    """Names of the features that are measured."""
    prefix: str
    extraction: ExtractionConfig
    boxes: str
    image_fps: float
    engine: EngineSpec
    """No part of `plan`: engines agree, so what one has scored stays."""
    batch: int
    device: str
    threads: int
    profile: bool
    """Whether single spans are kept."""
    smoothing: int
    events: EventConfig
    health: HealthConfig
    limits: LimitsConfig
    tries: int
    """Runs that may fail on a video before it is left alone; 0: any number."""
    plan: str
    """Hash of what decides a shard's rows beside bundle, video and range."""
    scores: str
    """Hash of what decides a video's final tables but the events."""
    final: str
    """Hash of what decides all of them."""

    @property
    def marks(self) -> Marks:
        return Marks(join(self.prefix, "done"))

    def state(self, video: Video) -> str:
        return hash_of(video.fingerprint, self.final)

    def failure(self, video: Video) -> str | None:
        return known_failure(self.prefix, video)

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
        return join(self.shard_folder(video), shard_name(frames, self.shard_state(video)))

    def shard_state(self, video: Video) -> str:
        return hash_of(video.fingerprint, self.plan)

    def looks_folder(self, video: Video) -> str:
        return join(self.prefix, "looks", key_path(video.id))

    def looks_uri(self, video: Video, frames: Range) -> str:
        return join(self.looks_folder(video), shard_name(frames, self.shard_state(video)))

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        return {
            "video": video.id,
            "fingerprint": video.fingerprint,
            "bundle": self.bundle.id,
            "start": frames[0],
            "stop": frames[1],
            "plan": self.plan,
            "engine": self.engine.label,
            **({"rule": "surprise"} if self.bundle.fusion.rule == "surprise" else {}),
        }


def open_video(work: ScoreWork, video: Video) -> Opened:
    """Look at what is there of `video`, and at the video itself where something is to do."""
    known = _final_there(work, video)
    if _is_final(work, video, known):
        return Opened(None, failure=_finish(work, video))
    if _has_same_scores(work, video, known):
        _find_other_events(work, video)
        return Opened(None, failure=_finish(work, video), counts={"events_anew": 1})
    if work.tries and (reason := parked(work.prefix, video, work.tries)):
        return Opened(None, failure=reason, counts={"parked": 1})
    state = work.shard_state(video)
    done = frozenset(frames for _, frames, found in list_shards(work.shard_folder(video)) if found == state)
    return Opened(probe(video, image_fps=work.image_fps, limits=work.limits), done)


def _final_there(work: ScoreWork, video: Video) -> dict[str, Any] | None:
    """What the frame table of `video` says of itself, if there is one."""
    uri = work.table_uri("frames", video)
    return unpack_metadata(open_parquet(uri).schema_arrow, "frames", uri) if exists(uri) else None


def _is_final(work: ScoreWork, video: Video, known: dict[str, Any] | None) -> bool:
    """Whether the final tables of `video`, of which `known` is told, are what this run would make."""
    return known is not None and known["complete"] and _state_of(known) == work.state(video)


def _has_same_scores(work: ScoreWork, video: Video, known: dict[str, Any] | None) -> bool:
    """Whether they differ from that at most in where events start and end."""
    same = (video.fingerprint, work.scores, True)
    return known is not None and (known["fingerprint"], known.get("scores"), known["complete"]) == same


def _find_other_events(work: ScoreWork, video: Video) -> None:
    """Put the events that these settings make of the scores there: no frame is decoded."""
    uri = work.table_uri("frames", video)
    frames = read_table(uri)
    known = unpack_metadata(frames.schema, "frames", uri)
    work.marks.remove(video, _state_of(known))
    calibration = work.bundle.calibration_of(video.path)
    own = {"final": work.final, "thresholds": list(thresholds(work.events, calibration))}
    metadata = {name: value for name, value in known.items() if name not in ("schema", "table")} | own

    def put_frames(of: dict[str, Any]) -> None:
        put_table(uri, frames.replace_schema_metadata(pack_metadata("frames", of)))

    put_frames(metadata | {"final": ""})  # after a kill here it would vouch for other events
    put_table(work.table_uri("events", video), event_table(frames, work.events, calibration, metadata))
    put_frames(metadata)


def _state_of(known: dict[str, Any]) -> str:
    return hash_of(known["fingerprint"], known["final"])


def _finish(work: ScoreWork, video: Video) -> str | None:
    """Remove the shards of a video whose final tables are there, and mark it last; returns why it failed in part."""
    for folder in (work.shard_folder(video), work.looks_folder(video)):
        for uri, _, _ in list_shards(folder):
            delete(uri)
    reason = work.failure(video)
    work.marks.put(video, work.state(video), failed=reason is not None)
    return reason


def score_frames(work: ScoreWork, shard: Shard) -> dict[str, Any]:
    """Put the rows of one shard; returns counts, and the report of what took how long."""
    started = time.monotonic()
    label = f"{shard.video.id} {shard.start}-{shard.stop}"
    with recording("network", label=label, keep=SPANS_PER_SHARD if work.profile else 0) as recorded:
        counts = _score_frames(work, shard)
    return {**counts, "busy_s": time.monotonic() - started, "profile": recorded.report()}


def _score_frames(work: ScoreWork, shard: Shard) -> dict[str, float]:
    counts: dict[str, float] = {"frames": 0, "cubes": 0, "dropped_boxes": 0, "model_loads": 0}
    times: list[float] = []

    def counted(batches: Generator[CubeBatch, None, None]) -> Generator[CubeBatch, None, None]:
        with closing(batches):
            for batch in batches:
                counts["frames"] += 1
                counts["cubes"] += len(batch)
                counts["dropped_boxes"] += batch.dropped
                times.append(batch.pts_s)
                yield batch

    with span("load"):
        loads = warm_features.cache_info().misses
        features = warm_features(
            work.bundle_uri, work.bundle.id, work.features, work.engine, work.device, work.batch, work.threads
        )
        counts["model_loads"] = warm_features.cache_info().misses - loads
        extractor = warm_extractor(work.extraction, work.boxes)
        if counts["model_loads"]:
            gc.collect()
            gc.freeze()  # modules and network stay for good: looking through them took the collector 0.2 s a shard
    frames: Range = (shard.start, shard.stop)
    look = Look(shard.start, shard.stop)
    table = score_shard(
        shard.video.id,
        counted(extractor.cubes(shard, look)),
        features,
        Scorer.of(work.bundle, shard.video.path),
        metadata=work.metadata(shard.video, frames),
    )
    with span("write"):
        put_table(work.looks_uri(shard.video, frames), look.table(work.metadata(shard.video, frames)))
        put_table(work.shard_uri(shard.video, frames), table)
    gc.collect()  # a closed container and its decoder hold each other, some MB a shard
    return {**counts, "video_s": shown_seconds(times, len(times))}


@lru_cache(maxsize=1)
def warm_features(
    uri: str, bundle_id: str, names: tuple[str, ...], spec: EngineSpec, device: str, batch: int, threads: int
) -> FeatureSet:
    """What this worker measures with, kept from shard to shard. Raises MismatchError for a bundle that changed.

    Where no feature needs a network, none is made.
    """
    torch.set_num_threads(threads)
    bundle = same_bundle(uri, bundle_id)
    engine = make_engine(spec, bundle, device=choose_device(device), batch=batch) if spec.networks else None
    return FeatureSet.of(bundle, names, engine, batch)


def close_video(
    work: ScoreWork, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]
) -> dict[str, Any]:
    """Put the final tables of `video`, the frames last, its failure row where it has one, and its mark.

    Where another run has been quicker, and its tables are there and the shards gone, only the mark is put.
    """
    known = _final_there(work, video)
    if _is_final(work, video, known):
        return {"failure": _finish(work, video)}
    try:
        return _close_video(work, video, timeline, plan, failures, known)
    except NotFoundError:
        if not _is_final(work, video, _final_there(work, video)):
            raise
        return {"failure": _finish(work, video)}


def _close_video(
    work: ScoreWork,
    video: Video,
    timeline: Timeline | None,
    plan: list[Range],
    failures: list[Failure],
    known: dict[str, Any] | None,
) -> dict[str, Any]:
    failed = {frames for failure in failures for frames in failure.ranges}
    scored = [frames for frames in plan if frames not in failed]
    if known is not None:
        work.marks.remove(video, _state_of(known))
    if timeline is None or (plan and not scored):
        return {"failure": settle_failures(work.prefix, video, failures)}
    frames: Range = (plan[0][0], plan[-1][1]) if plan else (0, 0)
    looks = [work.looks_uri(video, shard) for shard in scored]
    health = judged_health(work.health, video, timeline, frames, looks, work.metadata(video, frames))
    tables = _final_tables(work, video, timeline, plan, scored, health.kinds)
    reason = settle_failures(work.prefix, video, [*failures, *_shortcomings(timeline, tables)])
    delete(work.table_uri("frames", video))  # or, after a kill, it would vouch for other objects and events
    put_table(work.table_uri("health", video), health.table)
    for name in ("objects", "events", "frames"):
        put_table(work.table_uri(name, video), getattr(tables, name))
    if not failed:
        _finish(work, video)
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
    calibration = work.bundle.calibration_of(video.path)
    scorer = Scorer.of(work.bundle, video.path)
    shards = [read_table(work.shard_uri(video, frames)) for frames in scored]
    engines = {unpack_metadata(shard.schema, "shard", video.id)["engine"] for shard in shards}
    metadata = {
        **work.metadata(video, (start, stop)),
        "engine": ", ".join(sorted(engines)),
        "scores": work.scores,
        "final": work.final,
        "complete": len(scored) == len(plan),
        "smoothing": work.smoothing,
        "thresholds": list(thresholds(work.events, calibration)),
        "width": timeline.width,
        "height": timeline.height,
        "frame_count": timeline.frame_count,
    }
    return finalise(
        shards,
        pts_s=np.asarray(timeline.pts_s[start:stop]),
        empty=scorer.empty,
        at_frame=scorer if scorer.at_frame else None,
        smoothing=work.smoothing,
        calibration=calibration,
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
