"""Extraction as a walk: a task made of settings, over a sample of each camera's footage or all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hf2vad.archive.catalog import Video
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.place import RecorderCameras
from hf2vad.archive.sample import camera_in
from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.cluster.dispatch import Cluster
from hf2vad.cluster.stop import Stop
from hf2vad.cubes.settings import ExtractionConfig, extraction_fingerprint
from hf2vad.hashes import content_hash, hash_of
from hf2vad.health.frame_stats import EVERY
from hf2vad.runs.sampling import FootageSample
from hf2vad.runs.settings import ExtractSettings
from hf2vad.schema import SCHEMA_VERSION, STC, STC_CLASSES
from hf2vad.settings import to_dict
from hf2vad.storage import key_path
from hf2vad.tables.layout import CubeLayout
from hf2vad.tasks.extraction import ExtractionTask
from hf2vad.video.timeline import probe
from hf2vad.walk.run import BesideWalk, run_walk, shard_plan, walk_config


def run_extraction(
    job: ExtractSettings,
    task: ExtractionTask,
    first: Iterator[Video],
    listing: Callable[[], Iterator[Video]],
    passed: PassedOver | None = None,
) -> int:
    """Cut a sample of the videos `first`, or all of them where `job` says so; returns the exit code.

    listing: gives the same videos again. passed: what listing `first` passes over. Places of `job` are absolute.
    """
    if not job.max_cubes:
        return run_walk("extract", job, task, first, passed=passed)
    recorders = RecorderCameras()
    sample = FootageSample(
        first=first if job.pattern else recorders.watched(first),
        listing=listing,
        camera_of=camera_in(job.pattern),
        most=job.max_cubes,
        plan=shard_plan(job),
        timeline_of=partial(probe, image_fps=job.image_fps, limits=job.limits, decode=job.decode),
    )

    def prepare(cluster: Cluster, stop: Stop) -> tuple[ExtractionTask, dict[str, Any]]:
        nonlocal task
        task, record = sample.decide(task, cluster, stop, job.breaker)
        for line in recorders.lines():
            print(line, flush=True)
        return task, record

    def then(cluster: Cluster, stop: Stop) -> dict[str, Any]:
        return sample.trim(task)

    beside = BesideWalk(prepare=prepare, then=then)
    return run_walk("extract", job, task, sample.videos(), plan=sample, beside=beside, passed=passed)


def extraction_task(
    job: ExtractSettings, extraction: ExtractionConfig, zones: Zones = WHOLE_PICTURES
) -> ExtractionTask:
    """Task of the walk for a job with absolute locations. `extraction`: settings with the detector resolved."""
    content = [extraction_fingerprint(extraction), content_hash(job.boxes), job.frames, job.shard_frames]
    if job.image_fps:
        content += [job.image_fps]
    if job.leave_out_unhealthy:
        content += [to_dict(job.health), EVERY]
    plan = hash_of(SCHEMA_VERSION, *content)
    return ExtractionTask(
        layout=CubeLayout(
            prefix=job.out,
            dataset=key_path(job.dataset or job.archive.rstrip("/").rsplit("/", 1)[-1] or "archive"),
            plan=plan,
            final=plan,
            extraction=to_dict(extraction),
            left_out=to_dict(job.health) if job.leave_out_unhealthy else None,
            shard_schema=STC_CLASSES if job.detector.gives_classes else STC,
            zones=zones,
        ),
        config=walk_config(job, extraction, frame_stats=job.leave_out_unhealthy),
        health=job.health if job.leave_out_unhealthy else None,
    )
