"""Evidence of a run's events: which are chosen, what is there of them already, and calls to workers for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from hf2vad.archive.archive_refs import parse_archives
from hf2vad.archive.catalog import EVERYTHING
from hf2vad.archive.path_filter import PathFilter
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.cluster.calls import run_calls
from hf2vad.cluster.dispatch import Call, Cluster, open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import MismatchError, VideoError
from hf2vad.evidence.choose import Chosen, choose_events
from hf2vad.evidence.folder import other_folders
from hf2vad.progress import ProgressBar
from hf2vad.runs.settings import EvidenceSettings
from hf2vad.storage import absolute
from hf2vad.tables.archives import archive_names
from hf2vad.tables.read import scores_prefix
from hf2vad.tasks.evidence import EvidenceTask, note_failure, show_video
from hf2vad.threads import in_threads

THREADS = 8
"""Rows of earlier runs that are read at once."""


@dataclass(frozen=True, kw_only=True)
class EvidenceJob(EvidenceSettings):
    """Events to gather material for, its sources, and the site to write."""

    site: str
    """Folder or s3:// prefix; files go to <site>/events/<key>/."""
    scope: PathFilter = EVERYTHING
    """Only events of its videos."""

    @classmethod
    def of(cls, job: EvidenceSettings, *, site: str, scope: PathFilter = EVERYTHING) -> Self:
        """The evidence that a job's settings ask for, in a site."""
        return cls(site=site, scope=scope, **{item.name: getattr(job, item.name) for item in fields(EvidenceSettings)})


def gather_evidence(job: EvidenceJob) -> dict[str, int]:
    """Put the evidence that `job` asks for, and remove that of other events; returns counts.

    `events`: chosen; `made`: put now; `kept`: there already; `noted`: without what should be there, for a reason in
    `note` of their rows; `removed`. Starts no cluster when there is nothing to make. Raises EvaluationError where there
    are no scores, MismatchError when they are another bundle's.
    """
    prefix = scores_prefix(absolute(job.scores))
    task = evidence_task(job)
    chosen = choose_events(prefix, job.evidence, job.scope, archive_names(prefix, task.sources))
    counts = gather_chosen(task, chosen, job.ray)
    for folder in other_folders(task.site, {event.key for event in chosen}):
        folder.remove()
        counts["removed"] += 1
    return dict(counts)


def gather_chosen(task: EvidenceTask, chosen: Sequence[Chosen], ray: RayConfig) -> Counter[str]:
    """Put the evidence of `chosen` as far as it is not there; returns counts as `gather_evidence`, none removed."""
    there = list(in_threads(task.is_there, chosen, THREADS))
    counts = Counter[str](events=len(chosen), made=0, kept=sum(there), noted=0, removed=0)
    waiting: dict[str, list[Chosen]] = {}
    for event, done in zip(chosen, there, strict=True):
        if not done:
            waiting.setdefault(event.tables.key, []).append(event)
    if waiting:
        with open_cluster(ray) as cluster:
            counts.update(_gather(task, list(waiting.values()), cluster))
    return counts


def evidence_task(job: EvidenceJob) -> EvidenceTask:
    """Task of the workers for `job`, with absolute locations.

    Raises MismatchError for another bundle than that of the scores.
    """
    bundle_id = load_bundle_settings(job.bundle).id if job.bundle else ""
    scored_by = scores_prefix(absolute(job.scores)).rsplit("bundle=", 1)[-1]
    if bundle_id and bundle_id != scored_by:
        where = absolute(job.bundle)
        raise MismatchError(f"{where} is bundle {bundle_id}, the scores are of {scored_by}; give that bundle")
    return EvidenceTask(
        sources=parse_archives(job.archive),
        site=absolute(job.site),
        bundle=absolute(job.bundle),
        bundle_id=bundle_id,
        image_fps=job.image_fps,
        evidence=job.evidence,
        limits=job.limits,
        threads=max(1, int(job.ray.cpus)),
    )


def _gather(task: EvidenceTask, videos: Sequence[list[Chosen]], cluster: Cluster) -> Counter[str]:
    counts = Counter[str]()
    calls = iter([Call(show_video, (task, events), events) for events in videos])
    with ProgressBar("evidence", total=sum(map(len, videos)), unit="event") as bar:
        for outcome in run_calls(lambda: next(calls, None), cluster):
            events: list[Chosen] = outcome.call.tag
            if outcome.failure is None:
                counts.update(outcome.value)
            else:
                error = VideoError(f"{events[0].row['video']}: {outcome.failure}")
                counts.update(note_failure(task, events, error))
            bar.advance(len(events))
    return counts
