"""Cut an archive into spatio-temporal cubes: an STC table for training.

Example:
    python jobs/extract_stc.py --archive demo/archive/train --out demo/stc
    python jobs/extract_stc.py --archive s3://cameras/2026 --include '*.mp4' --out s3://vad/stc --ray.workers 64

Run it again to go on where it stopped. Exit code: 0 done, 2 usage, 3 some videos failed (see <out>/failures/), 143
stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from hf2vad.commandline import Job, required_missing
from hf2vad.cubes.settings import ExtractionConfig, extraction_fingerprint
from hf2vad.health.settings import HealthConfig
from hf2vad.presets import PresetName, preset
from hf2vad.settings import to_dict
from hf2vad.walk.settings import WalkSettings

if TYPE_CHECKING:
    from hf2vad.tasks.extraction import ExtractionTask


@dataclass(frozen=True, kw_only=True)
class ExtractJob(WalkSettings):
    """Settings of jobs/extract_stc.py."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset", "boxes")

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images."""

    out: str
    """Where the STC table goes: <out>/stc/<dataset>/<video>/<start>-<stop>-<hash>.parquet."""

    preset: PresetName = "compact"
    """Where the defaults of flow, motion and detector come from."""

    dataset: str = ""
    """Name of this archive in the table; empty: the last part of the archive's path."""

    leave_out_unhealthy: bool = False
    """Leave out cubes of frames whose footage is frozen, dark, covered …: what scoring marks as `health`."""

    health: HealthConfig = field(default_factory=HealthConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> ExtractJob:
        """The defaults of the chosen preset; --boxes makes them the source of boxes."""
        name = early["preset"] or "compact"
        chosen = preset(name).extraction
        detector = replace(chosen.detector, kinds=("boxes",)) if early["boxes"] else chosen.detector
        return cls(**{**required_missing(cls), **chosen.parts, "detector": detector, "preset": name})


def extract_job(job: ExtractJob) -> int:
    """Extract every video of the archive; returns the exit code."""
    from hf2vad.archive.passed import PassedOver
    from hf2vad.cubes.detect import resolve_detector
    from hf2vad.storage import absolute
    from hf2vad.walk.run import absolute_places, check_boxes, run_walk, some_videos

    check_boxes(job.boxes, job.detector)
    job = replace(job, archive=absolute(job.archive), **absolute_places(job))
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    passed = PassedOver()
    videos = some_videos(job.archive, job.include, passed)
    return run_walk("extract_stc", job, extraction_task(job, extraction), videos, passed=passed)


def extraction_task(job: ExtractJob, extraction: ExtractionConfig) -> ExtractionTask:
    """What the walk does with each video, for a job whose places are absolute; `extraction`: its detector resolved."""
    from hf2vad.hashes import content_hash, hash_of
    from hf2vad.health.look import EVERY
    from hf2vad.schema import SCHEMA_VERSION
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
        ),
        config=walk_config(job, extraction, frame_stats=job.leave_out_unhealthy),
        health=job.health if job.leave_out_unhealthy else None,
    )


JOB = Job("extract", ExtractJob, extract_job, __doc__)
