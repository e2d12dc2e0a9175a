"""Score what is new in an archive since the last run. Schedule it every night.

Example:
    hf2vad backfill demo/archive/test --bundle demo/bundle --out nightly --min-age-minutes 0
    ray job submit --working-dir . -- python jobs/backfill.py --archive s3://cameras --bundle s3://vad/bundles/site-7 \\
        --out s3://vad/scores --pattern '{camera}/{date}/*' --since 2026-11-24 --order newest --hours 8 --compact

Finished videos are marked in <out>/bundle=<id>/done/. Only one run works at a time: it holds the lease in
<out>/bundle=<id>/lease/. On SIGTERM, and after --hours, running shards are finished and no more are started. The next
run resumes there.

Exit code: 0 done or out of hours, 2 usage, 3 some videos failed, 4 another run is at work, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf2vad import logs
from hf2vad.archive.archive_refs import parse_archives
from hf2vad.archive.partitions import Order, Partitions
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilterSettings
from hf2vad.cluster.stop import Stop, StopReason
from hf2vad.commandline import EXIT_BUSY, Job
from hf2vad.errors import EvaluationError, LeaseError, NotFoundError
from hf2vad.runs.settings import OF_BUNDLE, WHY_HIDDEN, ScoreSettings
from hf2vad.settings import require

if TYPE_CHECKING:
    from hf2vad.cluster.dispatch import Cluster


@dataclass(frozen=True, kw_only=True)
class BackfillJob(PathFilterSettings, ScoreSettings):
    """Settings of hf2vad backfill."""

    archive: tuple[str, ...]
    """Folder or s3://bucket/prefix of videos; of several, each as name=s3://bucket/prefix: the ids of its videos begin
    with the name. --pattern and --include are of paths below it."""

    order: Order = "name"
    """Order of the videos: `oldest` or `newest` day first, by the days in --pattern, and within a day by name."""

    limit: int = 0
    """New videos, at most; 0: all."""

    hours: float = 0.0
    """Time after which no more shards are started; what runs is finished. 0: no limit."""

    min_age_minutes: float = 10.0
    """Minutes that a file must be unchanged; newer ones may still be written, and wait for the next night. Concerns
    files on local disks and folders of images: an object in S3 appears whole."""

    tries: int = 3
    """Runs that may fail on a video before it is left alone, until it changes; 0: any number."""

    retry_failed: bool = False
    """Try such videos again too."""

    compact: bool = False
    """At the end, join the tables of each camera's day into one file a table; needs {date} or {year} in --pattern."""

    report: str = ""
    """Folder or s3://bucket/prefix of the review site, brought up to date at the end; empty: no site."""

    lease_seconds: float = 120.0
    """Seconds that a run which died keeps the next one out."""

    dry_run: bool = False
    """Score nothing; say what would be scored, and about how long it would take."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("limit", 0), ("hours", 0), ("min_age_minutes", 0), ("tries", 0), ("lease_seconds", 1)):
            value = getattr(self, name)
            require(value >= least, f"--{name.replace('_', '-')} must be at least {least}, got {value}")
        dated = not self.compact or bool(self.scope.depth)
        require(dated, f"--compact needs a --pattern with {{date}} or {{year}}, got {self.pattern!r}")
        if isinstance(self.archive, tuple):  # else it is still to be given
            _ = self.sections

    @property
    def sections(self) -> Partitions:
        """The archives, and what is asked for of them. Raises ConfigError for what cannot be told apart or ordered."""
        return Partitions(parse_archives(self.archive), self.scope, self.order, self.include)


def backfill_job(job: BackfillJob) -> int:
    """Score what is new; returns the exit code."""
    from hf2vad.runs.compact import compact_all
    from hf2vad.runs.dry_run import list_new
    from hf2vad.runs.scoring import run_scoring, scoring_task
    from hf2vad.storage import absolute, exists
    from hf2vad.tables.archives import put_archive_names
    from hf2vad.walk.backlog import Backlog
    from hf2vad.walk.candidates import Candidates
    from hf2vad.walk.lease import Lease
    from hf2vad.walk.limits import WalkLimits
    from hf2vad.walk.run import absolute_places, zones_of

    job = replace(job, bundle=absolute(job.bundle), **absolute_places(job))
    sections = job.sections
    for source in sections.sources:
        if not exists(source.uri):
            raise NotFoundError(f"--archive {source.uri}: nothing there")
    sections.check_pattern()
    task = scoring_task(job, zones_of(job.zones, sections.sources), tries=0 if job.retry_failed else job.tries)
    layout = task.layout
    candidates = Candidates(sections, layout, job.min_age_minutes)
    if job.dry_run:
        return list_new(candidates, limit=job.limit, out=job.out)
    try:
        with Lease(layout.prefix, seconds=job.lease_seconds) as lease:
            put_archive_names(layout.prefix, sections.sources)
            until = time.monotonic() + 3600 * job.hours if job.hours else float("inf")

            def then(cluster: Cluster, stop: Stop) -> dict[str, Any]:
                def ended() -> bool:
                    return stop.reason in (StopReason.SIGTERM, StopReason.LEASE)

                return compact_all(layout.prefix, sections, cluster, ended) if job.compact else {}

            limits = WalkLimits(
                index=candidates.index(),
                videos=job.limit,
                ends={StopReason.LEASE: lambda: lease.lost, StopReason.TIME: lambda: time.monotonic() > until},
                backlog=Backlog(candidates.new, candidates.time_of),
            )
            passed = PassedOver()
            videos = candidates.settled(passed)
            code = run_scoring("backfill", job, task, videos, passed, limits=limits, then=then)
            if lease.lost:
                what_next = "what was scored is kept, start again"
                raise LeaseError(f"{layout.prefix}: the lease ran out or was taken; {what_next}")
            if job.report:
                _report(job)
            return code
    except LeaseError as error:
        logs.end_with(f"error: {error}")
        return EXIT_BUSY


def _report(job: BackfillJob) -> None:
    """Bring the review site up to date."""
    from hf2vad.jobs.report import ReviewJob, review_job
    from hf2vad.storage import absolute, is_local

    out = absolute(job.report)
    linked = is_local(out) and all(is_local(source.uri) for source in job.sections.sources)
    review = ReviewJob(
        scores=job.out,
        out=out,
        archive=job.archive,
        bundle=job.bundle,
        pattern=job.pattern,
        cameras=job.cameras,
        since=job.since,
        until=job.until,
        media="link" if linked else "transcode",
        image_fps=job.image_fps,
        limits=job.limits,
        ray=job.ray,
    )
    try:
        review_job(review)
    except EvaluationError as error:  # a night without a scored video has no site, and is no failure
        print(f"no site: {error}")


JOB = Job(
    "backfill",
    BackfillJob,
    backfill_job,
    __doc__,
    shown=("archive", "bundle", "out", "pattern", "since", "hours", "report", "dry-run"),
    reads="archive",
    hidden=OF_BUNDLE,
    why_hidden=WHY_HIDDEN,
)
