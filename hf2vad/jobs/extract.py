"""Cut an archive into spatio-temporal cubes: an STC table for training.

Example:
    hf2vad extract demo/archive/train --out demo/stc
    hf2vad extract s3://cameras/2026 --include '*.mp4' --out s3://vad/stc --ray.workers 64
    hf2vad extract s3://cameras --pattern '{camera}/{date}/*' --since 2026-11-01 --out s3://vad/stc

Cuts at most --max-cubes of each camera, spread over its footage. Before the work begins, an estimate of cubes, time and
disk is printed.

Run the command again to resume. Exit code: 0 done, 2 usage, 3 some videos failed (see <out>/failures/), 143
stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hf2vad.archive.path_filter import PathFilterSettings
from hf2vad.commandline import Job, required_missing
from hf2vad.cubes.settings import ExtractionConfig, extraction_fingerprint
from hf2vad.health.settings import HealthConfig
from hf2vad.presets import PresetName, preset
from hf2vad.settings import require, to_dict
from hf2vad.walk.settings import WalkSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hf2vad.archive.catalog import Video
    from hf2vad.archive.passed import PassedOver
    from hf2vad.cluster.dispatch import Cluster
    from hf2vad.cluster.stop import Stop
    from hf2vad.tasks.extraction import ExtractionTask


@dataclass(frozen=True, kw_only=True)
class ExtractJob(PathFilterSettings, WalkSettings):
    """Settings of hf2vad extract."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset", "boxes")

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images."""

    out: str
    """Folder for the STC table: <out>/stc/<dataset>/<video>/<start>-<stop>-<hash>.parquet."""

    preset: PresetName = "compact"
    """Preset that gives the defaults of flow, motion and detector."""

    dataset: str = ""
    """Name of this archive in the table; empty: the last part of the archive's path."""

    max_cubes: int = 20_000
    """Cubes of a camera, at most: short stretches, spread evenly over its footage, are cut and the rest is not looked
    at. The camera is what --pattern says, else what a usual recorder's names say, else the first folder, or the file.
    0: everything is cut."""

    leave_out_unhealthy: bool = False
    """Leave out cubes of frames whose footage is frozen, dark, covered …: what scoring marks as `health`."""

    health: HealthConfig = field(default_factory=HealthConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.max_cubes >= 0, f"--max-cubes must be at least 0, got {self.max_cubes}")
        _ = self.scope

    @classmethod
    def base(cls, early: dict[str, str | None]) -> ExtractJob:
        """The defaults of the chosen preset; --boxes makes them the source of boxes."""
        name = early["preset"] or "compact"
        chosen = preset(name).extraction
        detector = replace(chosen.detector, kinds=("boxes",)) if early["boxes"] else chosen.detector
        return cls(**{**required_missing(cls), **chosen.parts, "detector": detector, "preset": name})


def extract_job(job: ExtractJob) -> int:
    """Extract every video of the archive; returns the exit code."""
    from hf2vad.archive.catalog import catalogue
    from hf2vad.archive.passed import PassedOver
    from hf2vad.cubes.detect import resolve_detector
    from hf2vad.storage import absolute
    from hf2vad.walk.run import absolute_places, check_boxes, some_videos

    check_boxes(job.boxes, job.detector)
    job = replace(job, archive=absolute(job.archive), **absolute_places(job))
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    passed = PassedOver()
    first = some_videos(job.archive, job.include, passed, job.scope)
    listing = partial(catalogue, job.archive, job.include, job.scope)
    return run_extraction("extract", job, extraction, first, listing, passed)


def run_extraction(
    name: str,
    job: ExtractJob,
    extraction: ExtractionConfig,
    first: Iterator[Video],
    listing: Callable[[], Iterator[Video]],
    passed: PassedOver | None = None,
) -> int:
    """Cut a sample of the videos `first`, or all of them where `job` says so; returns the exit code.

    listing: gives the same videos again. passed: what listing `first` passes over. Places of `job` are absolute, the
    detector of `extraction` is resolved.
    """
    from hf2vad.archive.place import RecorderCameras
    from hf2vad.archive.sample import camera_in
    from hf2vad.sampling import FootageSample
    from hf2vad.video.timeline import probe
    from hf2vad.walk.run import run_walk, shard_plan

    task = extraction_task(job, extraction)
    if not job.max_cubes:
        return run_walk(name, job, task, first, passed=passed)
    recorders = RecorderCameras()
    sample = FootageSample(
        first=first if job.pattern else recorders.watched(first),
        listing=listing,
        camera_of=camera_in(job.pattern),
        most=job.max_cubes,
        plan=shard_plan(job),
        timeline_of=partial(probe, image_fps=job.image_fps, limits=job.limits, decode=extraction.decode),
    )

    def prepare(cluster: Cluster, stop: Stop) -> tuple[ExtractionTask, dict[str, Any]]:
        nonlocal task
        task, record = sample.decide(task, cluster, stop, job.breaker)
        for line in recorders.lines():
            print(line, flush=True)
        return task, record

    def then(cluster: Cluster, stop: Stop) -> dict[str, Any]:
        return sample.trim(task)

    return run_walk(name, job, task, sample.videos(), plan=sample, prepare=prepare, then=then, passed=passed)


def extraction_task(job: ExtractJob, extraction: ExtractionConfig) -> ExtractionTask:
    """Task of the walk for a job with absolute locations. `extraction`: settings with the detector resolved."""
    from hf2vad.hashes import content_hash, hash_of
    from hf2vad.health.frame_stats import EVERY
    from hf2vad.schema import SCHEMA_VERSION, STC, STC_CLASSES
    from hf2vad.storage import key_path
    from hf2vad.tables.layout import CubeLayout
    from hf2vad.tasks.extraction import ExtractionTask
    from hf2vad.walk.run import walk_config

    content = [extraction_fingerprint(extraction), content_hash(job.boxes), job.frames, job.shard_frames]
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
        ),
        config=walk_config(job, extraction, frame_stats=job.leave_out_unhealthy),
        health=job.health if job.leave_out_unhealthy else None,
    )


JOB = Job(
    "extract",
    ExtractJob,
    extract_job,
    __doc__,
    shown=("archive", "out", "preset", "frames", "pattern", "detector.kinds", "detector.model", "ray.address"),
    reads="archive",
)
