"""The review site of a run, and the evidence on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf2vad.archive.settings import LimitsConfig
from hf2vad.cluster.dispatch import RayConfig
from hf2vad.commandline import EXIT_OK
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.jobs.evidence import EvidenceJob, gather_evidence
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.night import write_site


@dataclass(frozen=True, kw_only=True)
class ReviewJob(ReportJob):
    """Settings of jobs/report.py."""

    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    ray: RayConfig = field(default_factory=RayConfig)


def review_job(job: ReviewJob) -> int:
    """Gather the evidence, write the site, say what is there. Returns the exit code."""
    counts = gathered(job)
    site = write_site(job)
    no_player = f", {site.no_player:,} videos without a player (their pages say why)" if site.no_player else ""
    print(
        f"{site.videos:,} videos, {site.events:,} events, {site.failures:,} failures{no_player}; evidence of "
        f"{counts.get('events', 0):,} events, {counts.get('made', 0):,} new; open {site.index}"
    )
    return EXIT_OK


def gathered(job: ReviewJob) -> dict[str, int]:
    """Put what shows why the highest events are such, as far as it is not there; returns counts."""
    if not job.sources:
        return {}
    return gather_evidence(
        EvidenceJob(
            scores=job.scores,
            archive=job.archive,
            site=job.out,
            bundle=job.bundle,
            image_fps=job.image_fps,
            scope=job.scope,
            evidence=job.evidence,
            limits=job.limits,
            ray=job.ray,
        )
    )
