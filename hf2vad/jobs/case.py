"""Write chosen events as a zip to hand over: clips, pictures, rows, hashes, and a page that a browser opens.

Example:
    hf2vad case found/scores --archive videos --bundle found/bundle --events events.json --out case.zip
    hf2vad case s3://vad/scores --archive s3://cameras --bundle s3://vad/bundles/site-7 \\
        --events 7f3c0a91d2e84b56 --out case-17.zip --title 'Case 17' --evidence.pixelate faces

--events takes what the review site saves as JSON, keys of events, or both. Clips are cut anew from the archive. The zip
has the SHA-256 of every file in it and of every video.

Exit code: 0 done; 2 usage, an event that is not there, or a location that cannot be used; 3 something of an event is
missing, and the page says why.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job
from hf2vad.errors import ConfigError
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.runs.settings import EvidenceSettings
from hf2vad.settings import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hf2vad.archive.archive_refs import ArchiveRef
    from hf2vad.evidence.choose import Chosen


@dataclass(frozen=True, kw_only=True)
class CaseJob(EvidenceSettings):
    """Settings of hf2vad case."""

    archive: tuple[str, ...]
    """The videos that were scored; of several archives, each as name=uri."""

    events: tuple[str, ...]
    """Events of the case: keys, and JSON files that the review site saved."""

    out: str
    """The zip: a file, or s3://bucket/key."""

    title: str = "Case"
    """Heading of its page."""

    evidence: EvidenceConfig = field(default_factory=lambda: EvidenceConfig(clips=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.events), "--events: name the events of the case, or a file that the review site saved")


def case_job(job: CaseJob) -> int:
    """Gather the events' evidence, and put the zip. Returns the exit code."""
    from hf2vad.evidence.case import CaseEvent, source_sha256, write_case
    from hf2vad.evidence.folder import EventFolder
    from hf2vad.plurals import count_words
    from hf2vad.runs.evidence import EvidenceJob, evidence_task, gather_chosen
    from hf2vad.storage import atomic_writer
    from hf2vad.versions import versions

    with tempfile.TemporaryDirectory() as site:
        task = evidence_task(EvidenceJob.of(job, site=site))
        chosen = _chosen(job, task.sources)
        counts = gather_chosen(task, chosen, job.ray)
        hashes = {event.row["video"]: source_sha256(task.sources, event.row["video"]) for event in chosen}
        about = {"Events": f"{len(chosen):,}", "Bundle": task.bundle_id, "hf2vad": versions()["hf2vad"]}
        about["Hidden in pictures"] = "" if job.evidence.pixelate == "none" else job.evidence.pixelate
        events = [CaseEvent(Path(EventFolder(site, e.key).uri), hashes[e.row["video"]]) for e in chosen]
        with atomic_writer(job.out) as file:
            write_case(file, job.title, events, {name: text for name, text in about.items() if text})
    noted = counts.get("noted", 0)
    missing = f", something is missing of {noted:,}" if noted else ""
    print(f"{count_words(len(chosen), 'event')}{missing}: {job.out}")
    return EXIT_FAILURES if noted else EXIT_OK


def _chosen(job: CaseJob, sources: Sequence[ArchiveRef]) -> list[Chosen]:
    """The events of the case by video and time. Raises ConfigError for one that the scores do not have."""
    from hf2vad.evidence.case import keys_in
    from hf2vad.evidence.choose import choose_events
    from hf2vad.tables.archives import archive_names
    from hf2vad.tables.read import scores_prefix

    keys = {key for item in job.events for key in keys_in(item)}
    prefix = scores_prefix(job.scores)
    everything = replace(job.evidence, above=float("-inf"))
    found = [e for e in choose_events(prefix, everything, archives=archive_names(prefix, sources)) if e.key in keys]
    if absent := sorted(keys - {event.key for event in found}):
        raise ConfigError(f"--events: {', '.join(absent[:5])}: not among the events of {prefix}")
    return sorted(found, key=lambda event: (event.row["video"], event.row["start_s"]))


JOB = Job("case", CaseJob, case_job, __doc__, shown=("bundle", "title", "evidence.pixelate"), reads="scores")
