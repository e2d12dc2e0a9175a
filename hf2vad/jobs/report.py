"""Write the review site of a run: an overview of the night, its events, and each video with its score.

Example:
    hf2vad report demo/scores --archive demo/archive/test --bundle demo/bundle --out site
    hf2vad report s3://vad/scores --archive s3://cameras --bundle s3://vad/bundles/site-7 \\
        --out s3://vad/review/2026-11-24 --pattern '{camera}/{date}/{time}.mp4' --since 2026-11-24 --until 2026-11-24

    hf2vad report demo/scores --archive demo/archive/test --bundle demo/bundle --out site \\
        --evidence.clips --evidence.pixelate people

Open index.html: the site consists of static files and needs no server. Run the command again after more videos were
scored; copied and transcoded videos are kept.

Exit code: 0 done, even if some videos cannot be played (the summary counts them, and their pages give the reason); 2
usage, or a location that cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.commandline import EXIT_OK, Job
from hf2vad.report.site.job import ReportJob
from hf2vad.runs.settings import EvidenceSettings


@dataclass(frozen=True, kw_only=True)
class ReviewJob(ReportJob, EvidenceSettings):
    """Settings of hf2vad report."""


def review_job(job: ReviewJob) -> int:
    """Gather the evidence, write the site, say what is there. Returns the exit code."""
    from hf2vad.plurals import count_words
    from hf2vad.report.site.night import write_site

    counts = gathered(job)
    site = write_site(job)
    said = [count_words(site.videos, "video"), count_words(site.events, "event"), count_words(site.failures, "failure")]
    if site.no_player:
        said.append(f"{count_words(site.no_player, 'video')} without a player (the pages say why)")
    evidence = f"evidence of {count_words(counts.get('events', 0), 'event')}, {counts.get('made', 0):,} new"
    print(f"{', '.join(said)}; {evidence}; open {site.index}")
    return EXIT_OK


def gathered(job: ReviewJob) -> dict[str, int]:
    """Put what shows why the highest events are such, as far as it is not there; returns counts."""
    from hf2vad.runs.evidence import EvidenceJob, gather_evidence

    if not job.sources:
        return {}
    return gather_evidence(EvidenceJob.of(job, site=job.out, scope=job.scope))


JOB = Job(
    "report",
    ReviewJob,
    review_job,
    __doc__,
    shown=("scores", "out", "archive", "bundle", "since", "until", "media", "evidence.clips"),
    reads="scores",
)
