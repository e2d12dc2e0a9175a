"""All that is shown of one event: its row, and the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hf2vad.bundle.bundle import Bundle
from hf2vad.bundle.examples import NormalExamples
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import Hf2vadError, NotFoundError, StorageError, VideoError
from hf2vad.evidence.choose import Chosen
from hf2vad.evidence.clips import clip_files, clip_range
from hf2vad.evidence.cube import Cube, check_same, cut_again, seen
from hf2vad.evidence.footage import Footage, fitted
from hf2vad.evidence.objects import kind_of, shown_object, weighted_parts
from hf2vad.evidence.pictures import error_colours, flow_colours, jpeg, magnified, png
from hf2vad.evidence.pixelate import pixelated_crop
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.schema import BOX, F32, U8

WIDTH = 480
"""Pixels of a thumbnail's width, at most."""
TABLE_COLUMNS = (
    "video", "event", "start_frame", "end_frame", "start_s", "end_s", "peak_frame", "peak_s", "peak_score",
)  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """The bundle that scored, in a worker."""

    bundle: Bundle
    model: HF2VAD
    """In evaluation mode, on `device`."""
    device: torch.device
    extractor: Callable[[], Extractor]
    """Gives the extractor that cuts cubes as they were scored."""


@dataclass
class Shown:
    """An event's row, and the files beside it."""

    row: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, data: bytes) -> None:
        """A file, which the row then names by what stands before its dot."""
        self.files[name] = data
        self.row["files"][name.split(".")[0]] = name

    def note(self, error: Hf2vadError) -> None:
        """Why something is missing."""
        self.row["note"] = "; ".join(filter(None, [self.row.get("note"), " ".join(str(error).split())]))


def plain_row(chosen: Chosen) -> Shown:
    """What is known of an event without its video."""
    columns = {name: chosen.row[name] for name in TABLE_COLUMNS}
    size = [chosen.metadata.get("width"), chosen.metadata.get("height")]
    return Shown({**columns, "kind": "", "parts": {}, "frame_size": size, "box": None, "files": {}})


def show_event(chosen: Chosen, footage: Footage, judge: Judge | None) -> Shown:
    """The event with its pictures, and, where the bundle is known, with the reasons for its score.

    What cannot be shown is left out, and the row's `note` says why. Raises StorageError when storage fails.
    """
    shown = plain_row(chosen)
    found = shown_object(footage.objects, chosen.row)
    frame = chosen.row["peak_frame"] if found is None else found["frame"]
    shown.row |= {"frame": frame, "box": None if found is None else [found[name] for name in BOX]}
    steps: list[Callable[[], None]] = [lambda: _thumbnail(shown, footage, frame)]
    if found is not None and judge is not None:
        parts = weighted_parts(found, judge.bundle, footage.video.path)
        shown.row["parts"] = {part: round(value, 4) for part, value in parts.items()}
        shown.row["kind"] = kind_of(shown.row["parts"])
        steps.append(lambda: _maps(shown, footage, found, judge))
    if footage.config.clips:
        steps.append(lambda: _clips(shown, chosen, footage))
    for step in steps:
        try:
            step()
        except Hf2vadError as error:
            if isinstance(error, StorageError) and not isinstance(error, NotFoundError):
                raise
            shown.note(error)
    return shown


def _thumbnail(shown: Shown, footage: Footage, frame: int) -> None:
    for decoded in footage.frames(frame, frame + 1, fitted(footage.shape, WIDTH)):
        if decoded.image is None:
            raise VideoError(f"{footage.video.id}: frame {frame} cannot be decoded")
        shown.add("thumb.jpg", jpeg(decoded.image))


def _maps(shown: Shown, footage: Footage, found: Mapping[str, Any], judge: Judge) -> None:
    cube = cut_again(judge.extractor(), footage.video, footage.timeline, found)
    known = seen(judge.model, cube, judge.device)
    check_same(found, known)
    hide = footage.config.pixelate
    error = np.abs(known.given.astype(np.float32) - known.predicted).mean(axis=2)
    off = np.hypot(*np.moveaxis(known.flow - known.reconstructed, 2, 0))
    longest = float(np.hypot(known.flow[..., 0], known.flow[..., 1]).max())
    predicted: U8 = np.rint(known.predicted.clip(0, 255)).astype(np.uint8)
    largest = {"appearance_error": float(error.max()), "flow": longest, "flow_error": float(off.max())}
    pictures = {
        "appearance": pixelated_crop(known.given, hide),
        "predicted": pixelated_crop(predicted, hide),
        "appearance_error": pixelated_crop(error_colours(error, largest["appearance_error"]), hide),
        "flow": flow_colours(known.flow, longest),
        "reconstructed": flow_colours(known.reconstructed, longest),
        "flow_error": error_colours(off, largest["flow_error"]),
    }
    if not judge.bundle.fusion.frame:  # it may be of a network that never learned to predict
        del pictures["predicted"], pictures["appearance_error"], largest["appearance_error"]
    for name, picture in pictures.items():
        shown.add(f"{name}.png", png(magnified(picture)))
    shown.row["scales"] = {name: round(value, 4) for name, value in largest.items()}
    shown.row |= {"s_flow": known.s_flow, "s_frame": known.s_frame, "flow_number": known.number}
    if footage.config.nearest and len(judge.bundle.examples):
        _nearest(shown, cube, judge.bundle.examples, longest, footage.config)


def _nearest(shown: Shown, cube: Cube, examples: NormalExamples, longest: float, config: EvidenceConfig) -> None:
    """Each example as its crop beside its flow, in the colours of the event's own."""
    found = examples.nearest(NormalExamples.of(cube.appearance, cube.flow), config.nearest)
    names = []
    for place, (number, _) in enumerate(found):
        flow: F32 = examples.flow[number].astype(np.float32)
        crop = pixelated_crop(examples.appearance[number], config.pixelate)
        names.append(f"n{place}.png")
        shown.files[names[-1]] = png(magnified(np.concatenate([crop, flow_colours(flow, longest)], axis=1)))
    shown.row["files"]["nearest"] = names
    shown.row["nearest_distance"] = [round(distance, 4) for _, distance in found]


def _clips(shown: Shown, chosen: Chosen, footage: Footage) -> None:
    start, stop = clip_range(chosen.row, footage.timeline, footage.scored, footage.config)
    if stop <= start:
        raise VideoError(f"{footage.video.id}: no scored frame in the clip's range")
    for name, data in clip_files(footage, start, stop).items():
        shown.add(name, data)
    times = footage.timeline.pts_s
    shown.row["clip"] = {"start_s": float(times[start]), "stop_s": float(times[stop - 1])}
