"""Evidence of events: pictures, clips and reasons, put by workers, a video's events in one call.

What is there already and made of the same is kept. A video that is gone, changed or unreadable costs its events a note
in their rows and nothing else; they are tried again by the next run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hf2vad.archive.archive_refs import ArchiveRef, find_in
from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.bundle.bundle import same_bundle
from hf2vad.cluster.warm import Warm
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import AccessDeniedError, Hf2vadError, NotFoundError, VideoError
from hf2vad.evidence.choose import Chosen
from hf2vad.evidence.clips import clip_range
from hf2vad.evidence.event import EventCard, Explainer, plain_card, show_event
from hf2vad.evidence.folder import EventFolder
from hf2vad.evidence.footage import Footage, held
from hf2vad.evidence.objects import Objects
from hf2vad.evidence.preview import SECONDS
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.features.registry import networks_for
from hf2vad.hashes import hash_of
from hf2vad.settings import from_dict, to_dict
from hf2vad.video.timeline import UNTIMED_FPS, probe
from hf2vad.walk.worker import warm_extractor

VERSION = 2
"""Raised when pictures made by an older release are to be made again."""


@dataclass(frozen=True, kw_only=True)
class EvidenceTask:
    """Material to gather for each event and its destination. Travels to the workers."""

    sources: tuple[ArchiveRef, ...]
    """The archives of the videos that were scored, with absolute URIs."""
    site: str
    """Files go to <site>/events/<key>/."""
    bundle: str
    """The bundle that scored; empty: thumbnails and clips only, and no reasons."""
    bundle_id: str
    """Empty without a bundle."""
    image_fps: float
    """Frame rate of folders of images."""
    evidence: EvidenceConfig
    limits: LimitsConfig
    threads: int
    """CPUs of a worker."""

    def content(self, chosen: Chosen) -> str:
        """Hash of what pictures of an event are of, and of what is hidden in them."""
        fingerprint = chosen.metadata.get("fingerprint", "")
        hidden = (self.evidence.pixelate, self.evidence.pixelate_hold)
        return hash_of(VERSION, dict(chosen.row), fingerprint, self.bundle_id, hidden, self.image_fps or UNTIMED_FPS)

    def state(self, chosen: Chosen) -> str:
        """Hash of that, and of which pictures there are to be."""
        wanted = to_dict(replace(self.evidence, events=0, above=None))
        return hash_of(self.content(chosen), wanted)

    def folder(self, chosen: Chosen) -> EventFolder:
        """Folder of an event's files."""
        return EventFolder(self.site, chosen.key)

    def is_there(self, chosen: Chosen) -> bool:
        """True if all material of an event exists."""
        return self.folder(chosen).row().get("state") == self.state(chosen)


def show_video(task: EvidenceTask, events: Sequence[Chosen]) -> Counter[str]:
    """Put the evidence of some events of one video; runs in a worker."""
    try:
        footage = _footage(task, events)
    except (VideoError, NotFoundError, AccessDeniedError) as error:
        return note_failure(task, events, error)
    explainer = None
    if task.bundle_id:
        explainer = warm_explainer(task.bundle, task.bundle_id, task.threads)
        boxes = events[0].tables.uri("objects")
        explainer = replace(explainer, extractor=partial(_extractor, explainer, boxes, task.threads))
    counts: Counter[str] = Counter()
    for chosen in events:
        if task.is_there(chosen):  # a worker that was lost had come so far
            counts["kept"] += 1
            continue
        card = show_event(chosen, footage, explainer)
        counts["noted" if card.row.get("note") else "made"] += 1
        _put(task, chosen, card)
    return counts


def note_failure(task: EvidenceTask, events: Sequence[Chosen], error: Hf2vadError) -> Counter[str]:
    """Say why there is nothing to see of some events; what is there of them and still true stays."""
    counts: Counter[str] = Counter()
    for chosen in events:
        if task.folder(chosen).row().get("content") == task.content(chosen):
            counts["kept"] += 1
            continue
        card = plain_card(chosen)
        card.note(error)
        _put(task, chosen, card)
        counts["noted"] += 1
    return counts


def _footage(task: EvidenceTask, events: Sequence[Chosen]) -> Footage:
    """The video of some events. Raises VideoError when it is not the one that was scored."""
    metadata, name = events[0].metadata, events[0].row["video"]
    video = find_in(task.sources, name)
    if video is None:
        raise VideoError(f"{name}: not in {', '.join(source.uri for source in task.sources)} any more")
    if video.fingerprint != metadata.get("fingerprint"):
        raise VideoError(f"{name}: changed since it was scored; score it again")
    return _opened(task, events, video, metadata)


def _opened(task: EvidenceTask, events: Sequence[Chosen], video: Video, metadata: Mapping[str, Any]) -> Footage:
    config = task.evidence
    decode = from_dict(DecodeConfig, metadata.get("decode", {}), where=video.id)
    timeline = probe(video, image_fps=task.image_fps, limits=task.limits, decode=decode)
    scored = (int(metadata["start"]), min(int(metadata["stop"]), timeline.frame_count))

    def ranges() -> Iterator[tuple[int, int]]:
        for chosen in events:
            event = (chosen.row["start_frame"], chosen.row["end_frame"] + 1)
            shown = [held(timeline, *event, SECONDS / 2) if config.previews else event]
            shown += [clip_range(chosen.row, timeline, scored, config)] if config.clips else []
            yield from (held(timeline, start, stop, config.pixelate_hold) for start, stop in shown if start < stop)

    objects = Objects.read(events[0].tables.uri("objects"), list(ranges()))
    return Footage(video, timeline, scored, objects, config, metadata)


@Warm
def warm_explainer(uri: str, bundle_id: str, threads: int) -> Explainer:
    """The bundle in this worker, kept from video to video. Raises MismatchError for one that changed."""
    bundle = same_bundle(uri, bundle_id)
    networks, model = networks_for(bundle.settings.fusion.weights), None
    if networks:
        import torch  # seconds, which a bundle without networks does not pay

        torch.set_num_threads(threads)
        model = bundle.build(torch.device("cpu"))
    return Explainer(bundle, networks, model, partial(warm_extractor, bundle.settings.extraction, "", threads))


def _extractor(explainer: Explainer, table: str, threads: int) -> Extractor:
    """Cuts the boxes of the objects table where some came from a file, which is not asked for again."""
    extraction = explainer.bundle.settings.extraction
    if "boxes" not in extraction.detector.kinds:
        return warm_extractor(extraction, "", threads)
    given = replace(extraction.detector, kinds=("boxes",))
    return warm_extractor(replace(extraction, detector=given), table, threads)


def _put(task: EvidenceTask, chosen: Chosen, card: EventCard) -> None:
    """Put an event; one with a note is tried again by the next run."""
    card.row["pixelate"] = task.evidence.pixelate
    if card.files:
        card.row["content"] = task.content(chosen)
    if not card.row.get("note"):
        card.row["state"] = task.state(chosen)
    task.folder(chosen).put(card)
