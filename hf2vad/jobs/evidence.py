"""Evidence of a run's events, gathered by the workers: a video's events in one call.

What is there already and made of the same is kept. A video that is gone, changed or unreadable costs its events a note
in their rows and nothing else; they are tried again by the next run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import torch

from hf2vad.archive.catalog import EVERYTHING, Video
from hf2vad.archive.scope import Scope
from hf2vad.archive.settings import LimitsConfig
from hf2vad.archive.sources import Source, find_in, parse_sources
from hf2vad.archive.timeline import probe
from hf2vad.bundle.bundle import same_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.cluster.dispatch import Call, Dispatcher, RayConfig, cluster
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import AccessDeniedError, Hf2vadError, MismatchError, NotFoundError, VideoError
from hf2vad.evidence.choose import Chosen, choose_events
from hf2vad.evidence.clips import clip_range
from hf2vad.evidence.event import EventCard, Explainer, plain_card, show_event
from hf2vad.evidence.folder import EventFolder, other_folders
from hf2vad.evidence.footage import Footage, held
from hf2vad.evidence.objects import Objects
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.features.registry import networks_for
from hf2vad.hashes import hash_of
from hf2vad.jobs.extract import warm_extractor
from hf2vad.progress import ProgressBar
from hf2vad.settings import to_dict
from hf2vad.storage import absolute, join
from hf2vad.tables.archives import archive_names
from hf2vad.tables.read import scores_prefix
from hf2vad.threads import in_threads

VERSION = 1
"""Raised when pictures made by an older release are to be made again."""
LOOKS = 8
"""Rows of earlier runs that are read at once."""


@dataclass(frozen=True, kw_only=True)
class EvidenceJob:
    """What is gathered, from where, and to which site."""

    scores: str
    """Where score_archive.py wrote to, or a bundle=<id> folder in it."""
    archive: str | tuple[str, ...]
    """The videos that were scored; of several archives, each as name=uri."""
    site: str
    """Folder or s3:// prefix; files go to <site>/events/<key>/."""
    bundle: str = ""
    """The bundle that scored them; empty: thumbnails and clips only, and no reasons."""
    image_fps: float = 25.0
    """Frame rate of folders of images."""
    scope: Scope = EVERYTHING
    """Only events of its videos."""
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    ray: RayConfig = field(default_factory=RayConfig)


@dataclass(frozen=True)
class EvidenceWork:
    """The same as it travels to the workers."""

    job: EvidenceJob
    """With absolute places; `scores` is the bundle=<id> folder."""
    sources: tuple[Source, ...]
    """The archives, with absolute URIs."""
    bundle_id: str
    """Empty without a bundle."""

    def content(self, chosen: Chosen) -> str:
        """Hash of what pictures of an event are of, and of what is hidden in them."""
        known = chosen.metadata.get("fingerprint", "")
        hidden = (self.job.evidence.pixelate, self.job.evidence.pixelate_hold)
        return hash_of(VERSION, dict(chosen.row), known, self.bundle_id, hidden, self.job.image_fps)

    def state(self, chosen: Chosen) -> str:
        """Hash of that, and of which pictures there are to be."""
        wanted = to_dict(replace(self.job.evidence, events=0, above=None))
        return hash_of(self.content(chosen), wanted)

    def folder(self, chosen: Chosen) -> EventFolder:
        return EventFolder(self.job.site, chosen.key)


def gather_evidence(job: EvidenceJob) -> dict[str, int]:
    """Put the evidence that `job` asks for, and remove that of other events; returns counts.

    `events`: chosen; `made`: put now; `kept`: there already; `noted`: without what should be there, for a reason in
    `note` of their rows; `removed`. Starts no cluster when there is nothing to make. Raises EvaluationError where there
    are no scores, MismatchError when they are another bundle's.
    """
    scores, site = scores_prefix(absolute(job.scores)), absolute(job.site)
    job = replace(job, scores=scores, site=site, bundle=absolute(job.bundle))
    sources = parse_sources(job.archive)
    work = EvidenceWork(job, sources, load_bundle_settings(job.bundle).id if job.bundle else "")
    scored_by = job.scores.rsplit("bundle=", 1)[-1]
    if job.bundle and work.bundle_id != scored_by:
        raise MismatchError(f"{job.bundle} is bundle {work.bundle_id}, the scores are of {scored_by}; give that bundle")
    chosen = choose_events(job.scores, job.evidence, job.scope, archive_names(job.scores, sources))
    there = list(in_threads(partial(_is_there, work), chosen, LOOKS))
    counts = Counter(events=len(chosen), made=0, kept=sum(there), noted=0, removed=0)
    waiting: dict[str, list[Chosen]] = {}
    for event, done in zip(chosen, there, strict=True):
        if not done:
            waiting.setdefault(event.table, []).append(event)
    if waiting:
        with cluster(job.ray):
            counts.update(_dispatch(work, list(waiting.values())))
    for folder in other_folders(job.site, {event.key for event in chosen}):
        folder.remove()
        counts["removed"] += 1
    return dict(counts)


def _is_there(work: EvidenceWork, chosen: Chosen) -> bool:
    return work.folder(chosen).row().get("state") == work.state(chosen)


def _dispatch(work: EvidenceWork, videos: Sequence[list[Chosen]]) -> Counter[str]:
    dispatcher, counts = Dispatcher(work.job.ray, use_gpu=False), Counter[str]()
    remaining = iter(videos)
    with ProgressBar("evidence", total=sum(map(len, videos)), unit="events") as bar:
        while True:
            while dispatcher.running < dispatcher.in_flight and (events := next(remaining, None)) is not None:
                dispatcher.submit(Call(show_video, (work, events), events))
            if not dispatcher.running:
                return counts
            outcome = dispatcher.wait()
            events = outcome.call.tag
            if outcome.failure is not None:
                counts.update(_note(work, events, VideoError(f"{events[0].row['video']}: {outcome.failure}")))
            else:
                counts.update(outcome.value)
            bar.advance(len(events))


def show_video(work: EvidenceWork, events: Sequence[Chosen]) -> Counter[str]:
    """Put the evidence of some events of one video; runs in a worker."""
    try:
        footage = _footage(work, events)
    except (VideoError, NotFoundError, AccessDeniedError) as error:
        return _note(work, events, error)
    explainer = None
    if work.bundle_id:
        explainer = warm_explainer(work.job.bundle, work.bundle_id, max(1, int(work.job.ray.cpus)))
        table = join(work.job.scores, "objects", events[0].table)
        explainer = replace(explainer, extractor=partial(_extractor, explainer, table))
    counts: Counter[str] = Counter()
    for chosen in events:
        if _is_there(work, chosen):  # a worker that was lost had come so far
            counts["kept"] += 1
            continue
        card = show_event(chosen, footage, explainer)
        counts["noted" if card.row.get("note") else "made"] += 1
        _put(work, chosen, card)
    return counts


def _footage(work: EvidenceWork, events: Sequence[Chosen]) -> Footage:
    """The video of some events. Raises VideoError when it is not the one that was scored."""
    metadata, name = events[0].metadata, events[0].row["video"]
    video = find_in(work.sources, name)
    if video is None:
        raise VideoError(f"{name}: not in {', '.join(source.uri for source in work.sources)} any more")
    if video.fingerprint != metadata.get("fingerprint"):
        raise VideoError(f"{name}: changed since it was scored; score it again")
    return _opened(work, events, video, metadata)


def _opened(work: EvidenceWork, events: Sequence[Chosen], video: Video, metadata: Mapping[str, Any]) -> Footage:
    config = work.job.evidence
    timeline = probe(video, image_fps=work.job.image_fps, limits=work.job.limits)
    scored = (int(metadata["start"]), min(int(metadata["stop"]), timeline.frame_count))

    def ranges() -> Iterator[tuple[int, int]]:
        for chosen in events:
            shown = [(chosen.row["start_frame"], chosen.row["end_frame"] + 1)]
            shown += [clip_range(chosen.row, timeline, scored, config)] if config.clips else []
            yield from (held(timeline, start, stop, config.pixelate_hold) for start, stop in shown if start < stop)

    objects = Objects.read(join(work.job.scores, "objects", events[0].table), list(ranges()))
    return Footage(video, timeline, scored, objects, config)


@lru_cache(maxsize=1)
def warm_explainer(uri: str, bundle_id: str, threads: int) -> Explainer:
    """The bundle in this worker, kept from video to video. Raises MismatchError for one that changed."""
    torch.set_num_threads(threads)
    device = torch.device("cpu")
    bundle = same_bundle(uri, bundle_id)
    networks = networks_for(bundle.settings.fusion.weights)
    model = bundle.build(device) if networks else None
    return Explainer(bundle, networks, model, device, partial(warm_extractor, bundle.settings.extraction, ""))


def _extractor(explainer: Explainer, table: str) -> Extractor:
    """Boxes that came from a file are those of the objects table."""
    extraction = explainer.bundle.settings.extraction
    return warm_extractor(extraction, table if extraction.detector.kind == "boxes" else "")


def _note(work: EvidenceWork, events: Sequence[Chosen], error: Hf2vadError) -> Counter[str]:
    """Say why there is nothing to see of some events; what is there of them and still true stays."""
    counts: Counter[str] = Counter()
    for chosen in events:
        if work.folder(chosen).row().get("content") == work.content(chosen):
            counts["kept"] += 1
            continue
        card = plain_card(chosen)
        card.note(error)
        _put(work, chosen, card)
        counts["noted"] += 1
    return counts


def _put(work: EvidenceWork, chosen: Chosen, card: EventCard) -> None:
    """Put an event; one with a note is tried again by the next run."""
    card.row["pixelate"] = work.job.evidence.pixelate
    if card.files:
        card.row["content"] = work.content(chosen)
    if not card.row.get("note"):
        card.row["state"] = work.state(chosen)
    work.folder(chosen).put(card)
