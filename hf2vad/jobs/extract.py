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

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hf2vad.commandline import Job, required_missing
from hf2vad.presets import PresetName, preset
from hf2vad.runs.settings import ExtractSettings


@dataclass(frozen=True, kw_only=True)
class ExtractJob(ExtractSettings):
    """Settings of hf2vad extract."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset", "boxes")

    preset: PresetName = "compact"
    """Preset that gives the defaults of flow, motion and detector."""

    @classmethod
    def base(cls, early: dict[str, str | None]) -> ExtractJob:
        """The defaults of the chosen preset; --boxes makes them the source of boxes."""
        name = early["preset"] or "compact"
        chosen = preset(name).extraction
        detector = replace(chosen.detector, kinds=("boxes",)) if early["boxes"] else chosen.detector
        return cls(**{**required_missing(cls), **chosen.parts, "detector": detector, "preset": name})


def extract_job(job: ExtractJob) -> int:
    """Extract every video of the archive; returns the exit code."""
    from hf2vad.archive.archive_refs import ArchiveRef
    from hf2vad.archive.catalog import catalogue
    from hf2vad.archive.passed import PassedOver
    from hf2vad.cubes.detect import resolve_detector
    from hf2vad.runs.extraction import extraction_task, run_extraction
    from hf2vad.storage import absolute
    from hf2vad.walk.run import absolute_places, check_boxes, some_videos, zones_of

    check_boxes(job.boxes, job.detector)
    job = replace(job, archive=absolute(job.archive), **absolute_places(job))
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    passed = PassedOver()
    first = some_videos(job.archive, job.include, passed, job.scope)
    listing = partial(catalogue, job.archive, job.include, job.scope)
    task = extraction_task(job, extraction, zones_of(job.zones, [ArchiveRef("", job.archive)]))
    return run_extraction(job, task, first, listing, passed)


JOB = Job(
    "extract",
    ExtractJob,
    extract_job,
    __doc__,
    shown=("archive", "out", "preset", "frames", "pattern", "detector.kinds", "detector.model", "ray.address"),
    reads="archive",
)
