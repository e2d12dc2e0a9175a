"""Score every frame of an archive with a bundle: Parquet tables of frames, objects and events.

Example:
    hf2vad score demo/archive/test --bundle demo/bundle --out demo/scores
    ray job submit --working-dir . -- python jobs/score_archive.py \\
        --archive s3://cameras/2026 --bundle s3://vad/bundles/site-7 --out s3://vad/scores

Run the command again to resume. Exit code: 0 done, 2 usage, 3 some videos failed or could be scored only in
part (see <out>/bundle=<id>/failures/), 143 stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hf2vad.commandline import Job
from hf2vad.runs.settings import OF_BUNDLE, WHY_HIDDEN, ScoreSettings


@dataclass(frozen=True, kw_only=True)
class ScoreJob(ScoreSettings):
    """Settings of hf2vad score."""

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images, or one video file."""

    dry_run: bool = False
    """Score nothing; list the videos with their frames and hours, and what is passed over and why."""


def score_job(job: ScoreJob) -> int:
    """Score every video of the archive; returns the exit code.

    Raises MismatchError when an extraction setting is not the bundle's.
    """
    from hf2vad.archive.archive_refs import ArchiveRef
    from hf2vad.archive.passed import PassedOver
    from hf2vad.runs.scoring import run_scoring, scoring_task
    from hf2vad.storage import absolute
    from hf2vad.walk.run import absolute_places, some_videos, zones_of

    job = replace(job, archive=absolute(job.archive), bundle=absolute(job.bundle), **absolute_places(job))
    task = scoring_task(job, zones_of(job.zones, [ArchiveRef("", job.archive)]))
    passed = PassedOver()
    videos = some_videos(job.archive, job.include, passed)
    if job.dry_run:
        from hf2vad.runs.dry_run import list_archive

        decode = job.extraction.decode
        return list_archive(videos, passed, image_fps=job.image_fps, limits=job.limits, decode=decode)
    return run_scoring("score", job, task, videos, passed)


JOB = Job(
    "score",
    ScoreJob,
    score_job,
    __doc__,
    shown=("archive", "bundle", "out", "frames", "events.threshold", "alarms", "dry-run", "ray.address"),
    reads="archive",
    hidden=OF_BUNDLE,
    why_hidden=WHY_HIDDEN,
)
