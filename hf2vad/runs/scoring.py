"""Shared parts of the scoring jobs: a bundle and settings as a task, walked with the chosen engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hf2vad.archive.catalog import Video
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.place import RecorderCameras
from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.cluster.calls import ask_for_engine
from hf2vad.cluster.dispatch import Cluster
from hf2vad.cluster.stop import Stop
from hf2vad.cubes.detect import resolve_detector
from hf2vad.cubes.settings import extraction_difference
from hf2vad.engines.request import EngineRequest, cache_of
from hf2vad.engines.settings import EngineSpec
from hf2vad.errors import MismatchError
from hf2vad.features.object_vector import VERSION
from hf2vad.features.registry import networks_for
from hf2vad.hashes import content_hash, hash_of
from hf2vad.health.frame_stats import EVERY
from hf2vad.models.device import choose_device
from hf2vad.runs.settings import ScoreSettings
from hf2vad.schema import SCHEMA_VERSION, SHARD, SHARD_VECTORS
from hf2vad.scoring.alarms import read_alarms
from hf2vad.scoring.feature_set import counted_features, fitted_features
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.settings import to_dict
from hf2vad.storage import absolute, join
from hf2vad.tables.layout import ScoreLayout
from hf2vad.tasks.scoring import ScoringTask
from hf2vad.video.timeline import UNTIMED_FPS
from hf2vad.walk.limits import WalkLimits
from hf2vad.walk.run import BesideWalk, check_boxes, run_walk, walk_config


def run_scoring(
    name: str,
    job: ScoreSettings,
    task: ScoringTask,
    videos: Iterator[Video],
    passed: PassedOver,
    *,
    limits: WalkLimits | None = None,
    then: Callable[[Cluster, Stop], dict[str, Any]] | None = None,
) -> int:
    """Choose the engine and walk over `videos`, and `then` do more on the same cluster; returns the exit code.

    passed: what listing `videos` passes over.
    """

    def prepare(cluster: Cluster, stop: Stop) -> tuple[ScoringTask, dict[str, str]]:
        if job.engine == "eager" or not task.engine.networks:
            return task, {"engine": task.engine.label}
        choice = ask_for_engine(engine_request(job, task), cluster).choice
        print(f"engine: {choice.spec.label} on {choice.target.device}: {choice.why}", flush=True)
        record = {"engine": choice.spec.label, "engine_why": choice.why, "device": choice.target.device}
        return task.with_engine(choice.spec), record

    videos = _with_cameras_said(videos, task.bundle)
    beside = BesideWalk(prepare=prepare, then=then)
    return run_walk(name, job, task, videos, beside=beside, limits=limits, passed=passed)


def _with_cameras_said(videos: Iterator[Video], bundle: BundleSettings) -> Iterator[Video]:
    """`videos`; prints when names of a recorder first give a camera, and when one first was not learnt apart."""
    recorders, pooled = RecorderCameras(), ""
    guessed = bundle.fusion.rule == "surprise" and not bundle.camera_pattern
    for video in videos:
        before = len(recorders.names)
        camera = recorders.note(video.path) if guessed else ""
        if len(recorders.names) > before:
            print(f"cameras from names ({list(recorders.names)[-1]}), such as {camera}", flush=True)
        if camera and not pooled and (pooled := bundle.pooled_words(camera)):
            print(pooled, flush=True)
        yield video


def engine_request(job: ScoreSettings, task: ScoringTask) -> EngineRequest:
    """Engine that `job` requests for `task`."""
    return EngineRequest(
        bundle_uri=job.bundle,
        bundle_id=task.bundle.id,
        wanted=job.engine,
        precision=job.precision,
        cache=cache_of(job.bundle, job.engine_cache),
        networks=task.engine.networks,
        batch=job.batch,
        device=job.device,
        threads=task.config.threads,
    )


def scoring_task(job: ScoreSettings, zones: Zones = WHOLE_PICTURES, *, tries: int = 0) -> ScoringTask:
    """Task of the walk for a job with absolute locations, with the engine `eager` until another is chosen. Raises the
    errors of `score_job`."""
    bundle = load_bundle(job.bundle)
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    if difference := extraction_difference(bundle.settings.extraction, extraction):
        raise MismatchError(
            f"{job.bundle} was trained on other cubes than these settings make ({difference}); leave the settings out"
        )
    check_boxes(job.boxes, job.detector)
    if job.device not in ("auto", "cpu"):
        choose_device(job.device)
    settings = bundle.settings
    smoothing = SmoothingRule(job.smoothing, ends=settings.smoothing.ends) if job.smoothing else settings.smoothing
    alarms = [content_hash(absolute(job.alarms))] if job.alarms else []
    if job.alarms:
        settings = read_alarms(absolute(job.alarms)).applied_to(settings, job.events, smoothing)
    counted = counted_features(settings.fusion)
    features = fitted_features(bundle) if job.all_parts else counted
    more = [name for name in features if name not in counted]
    engine = EngineSpec(name="eager", networks=networks_for(features))
    kept = [f"vectors {VERSION}"] if job.vectors else []
    times = (job.image_fps, "timed") if job.image_fps else (UNTIMED_FPS,)
    plan = hash_of(SCHEMA_VERSION, content_hash(job.boxes), job.frames, *times, EVERY, *more, *kept)
    most = [job.vectors] if job.vectors else []
    return ScoringTask(
        layout=ScoreLayout(
            prefix=join(job.out, f"bundle={bundle.id}"),
            bundle=bundle.id,
            engine=engine.label,
            plan=plan,
            shard_schema=SHARD_VECTORS if job.vectors else SHARD,
            zones=zones,
            scores=hash_of(plan, *smoothing.key, to_dict(job.health), *most),
            final=hash_of(plan, *smoothing.key, to_dict(job.events), to_dict(job.health), *alarms, *most),
        ),
        config=walk_config(job, extraction, frame_stats=True, tries=tries),
        bundle_uri=job.bundle,
        bundle=settings,
        features=features,
        engine=engine,
        batch=job.batch,
        device=job.device,
        smoothing=smoothing,
        events=job.events,
        health=job.health,
        vectors=job.vectors,
    )
