"""Everything the site shows of one event: its row, and the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hf2vad.bundle.bundle import Bundle
from hf2vad.bundle.kept import NormalExamples
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import Hf2vadError, NotFoundError, StorageError, VideoError
from hf2vad.evidence.choose import Chosen
from hf2vad.evidence.clips import clip_files, clip_range
from hf2vad.evidence.cube import Cube, Explanation, check_same, cut_again
from hf2vad.evidence.footage import Footage, fitted
from hf2vad.evidence.objects import shown_object
from hf2vad.evidence.pictures import error_colours, flow_colours, jpeg, magnified, png
from hf2vad.evidence.pixelate import pixelated_crop
from hf2vad.evidence.preview import preview
from hf2vad.evidence.reasons import Knowledge, Reasons, reasons
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.evidence.whole import whole_of
from hf2vad.features.edge import measured
from hf2vad.models.settings import NETWORKS, Network
from hf2vad.schema import BOX, F32, FEATURE_COLUMNS, U8

if TYPE_CHECKING:
    from hf2vad.models.hf2vad import HF2VAD

WIDTH = 480
"""Pixels of a thumbnail's width, at most."""
TABLE_COLUMNS = (
    "video", "event", "start_frame", "end_frame", "start_s", "end_s", "peak_frame", "peak_s", "peak_score",
)  # fmt: skip


@dataclass(frozen=True)
class Explainer:
    """The bundle that scored, in a worker."""

    bundle: Bundle
    networks: tuple[Network, ...]
    """Networks that the bundle's score needs."""
    model: HF2VAD | None
    """Network in evaluation mode, on the processor. None if the score needs none."""
    extractor: Callable[[], Extractor]
    """Gives the extractor that cuts cubes as they were scored."""


@dataclass
class EventCard:
    """Row of an event and the files beside it."""

    row: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, data: bytes) -> None:
        """A file, which the row then names by what stands before its dot."""
        self.files[name] = data
        self.row["files"][name.split(".")[0]] = name

    def note(self, error: Hf2vadError) -> None:
        """Why something is missing."""
        self.row["note"] = "; ".join(filter(None, [self.row.get("note"), " ".join(str(error).split())]))


def plain_card(chosen: Chosen) -> EventCard:
    """Card of an event whose video is not available."""
    columns = {name: chosen.row[name] for name in TABLE_COLUMNS}
    size = [chosen.metadata.get("width"), chosen.metadata.get("height")]
    return EventCard({**columns, **Reasons().row(), "frame_size": size, "box": None, "whole": None, "files": {}})


def show_event(chosen: Chosen, footage: Footage, explainer: Explainer | None) -> EventCard:
    """The event with its pictures, and, where the bundle is known, with the reasons for its score.

    What cannot be shown is left out, and the row's `note` says why. Raises StorageError when storage fails.
    """
    card = plain_card(chosen)
    row = shown_object(footage.objects, chosen.row)
    frame = chosen.row["peak_frame"] if row is None else row["frame"]
    card.row["frame"] = frame
    if row is not None:
        card.row |= {"box": [row[name] for name in BOX], "whole": whole_of(footage.objects, row)}
    steps: list[Callable[[], None]] = [lambda: _thumbnail(card, footage, frame)]
    if footage.config.previews:
        steps.append(lambda: _preview(card, footage, frame))
    if row is not None and explainer is not None:
        steps.append(lambda: _reasons(card, footage, row, explainer))
    if footage.config.clips:
        steps.append(lambda: _clips(card, chosen, footage))
    for step in steps:
        try:
            step()
        except Hf2vadError as error:
            if isinstance(error, StorageError) and not isinstance(error, NotFoundError):
                raise
            card.note(error)
    return card


def _thumbnail(card: EventCard, footage: Footage, frame: int) -> None:
    for decoded in footage.frames(frame, frame + 1, fitted(footage.shape, WIDTH)):
        if decoded.image is None:
            raise VideoError(f"{footage.video.id}: frame {frame} cannot be decoded")
        card.add("thumb.jpg", jpeg(decoded.image))


def _preview(card: EventCard, footage: Footage, frame: int) -> None:
    box = card.row["whole"]
    card.add("preview.webp", preview(footage, frame, None if box is None else np.array(box, np.float32)))


def _reasons(card: EventCard, footage: Footage, row: Mapping[str, Any], explainer: Explainer) -> None:
    """Why it is an event, in words and with pictures; in words alone where the cube does not come out again."""
    objects, path, knowledge = footage.objects.rows(row["frame"]), footage.video.path, Knowledge.of(explainer.bundle)
    card.row |= reasons(objects, row, knowledge, path).row()
    cube = cut_again(explainer.extractor(), footage.video, footage.timeline, row)
    card.row |= reasons(objects, row, knowledge, path, cube.arrays(row)).row()
    _maps(card, footage, row, cube, explainer)


def _maps(card: EventCard, footage: Footage, row: Mapping[str, Any], cube: Cube, explainer: Explainer) -> None:
    """Pictures of the cube, and of what the networks that count made of it."""
    found = _explained(cube, explainer)
    arrays = replace(cube.arrays(row), errors=found.errors)
    values = {network: float(measured(explainer.bundle.feature(network), arrays)[0]) for network in found.errors}
    check_same(row, values)
    hide = footage.config.pixelate
    longest = float(np.hypot(found.flow[..., 0], found.flow[..., 1]).max())
    pictures, scales = {"appearance": pixelated_crop(found.crop, hide)}, {}
    if found.predicted is not None:
        error = np.abs(found.crop.astype(np.float32) - found.predicted).mean(axis=2)
        scales["appearance_error"] = float(error.max())
        predicted: U8 = np.rint(found.predicted.clip(0, 255)).astype(np.uint8)
        pictures["predicted"] = pixelated_crop(predicted, hide)
        pictures["appearance_error"] = pixelated_crop(error_colours(error, scales["appearance_error"]), hide)
    scales["flow"] = longest
    pictures["flow"] = flow_colours(found.flow, longest)
    if found.reconstructed is not None:
        off = np.hypot(*np.moveaxis(found.flow - found.reconstructed, 2, 0))
        scales["flow_error"] = float(off.max())
        pictures["reconstructed"] = flow_colours(found.reconstructed, longest)
        pictures["flow_error"] = error_colours(off, scales["flow_error"])
    for name, picture in pictures.items():
        card.add(f"{name}.png", png(magnified(picture)))
    card.row["scales"] = {name: round(value, 4) for name, value in scales.items()}
    card.row |= {FEATURE_COLUMNS[network]: values.get(network) for network in NETWORKS}
    card.row["flow_number"] = found.number
    if footage.config.nearest and len(explainer.bundle.examples):
        _nearest(card, cube, explainer.bundle, footage.video.path, longest, footage.config)


def _explained(cube: Cube, explainer: Explainer) -> Explanation:
    if explainer.model is None:
        return cube.plain
    from hf2vad.evidence.explain import explain  # seconds, which a bundle without networks does not pay

    return explain(explainer.model, cube, explainer.networks)


def _nearest(card: EventCard, cube: Cube, bundle: Bundle, path: str, longest: float, config: EvidenceConfig) -> None:
    """Each example as its crop beside its flow, in the colours of the event's own; of the same camera where the bundle
    holds enough of it."""
    examples, camera = bundle.examples, bundle.settings.camera_of(path)
    own = [number for number, name in enumerate(bundle.provenance.get("examples", ())) if name and name == camera]
    same = len(own) >= config.nearest
    if same:
        examples = examples.some(own)
    found = examples.nearest(NormalExamples.of(cube.appearance, cube.flow), config.nearest)
    names = []
    for place, (number, _) in enumerate(found):
        flow: F32 = examples.flow[number].astype(np.float32)
        crop = pixelated_crop(examples.appearance[number], config.pixelate)
        names.append(f"n{place}.png")
        card.files[names[-1]] = png(magnified(np.concatenate([crop, flow_colours(flow, longest)], axis=1)))
    card.row["files"]["nearest"] = names
    card.row["nearest_distance"] = [round(distance, 4) for _, distance in found]
    card.row |= {"nearest_of": len(examples), "nearest_camera": same}


def _clips(card: EventCard, chosen: Chosen, footage: Footage) -> None:
    start, stop = clip_range(chosen.row, footage.timeline, footage.scored, footage.config)
    if stop <= start:
        raise VideoError(f"{footage.video.id}: no scored frame in the clip's range")
    for name, data in clip_files(footage, start, stop).items():
        card.add(name, data)
    times = footage.timeline.pts_s
    card.row["clip"] = {"start_s": float(times[start]), "stop_s": float(times[stop - 1])}
