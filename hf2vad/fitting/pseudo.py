"""Pseudo-anomalies: what is unusual, made of normal cubes, so that settings can be chosen without labels.

A held-out clip is scored as it is, and again with one object of each frame, followed from frame to frame, made unusual.
What tells the two apart is worth having.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from hf2vad.features.feature import CubeArrays
from hf2vad.schema import F32, F64, FLOWS, SIZE, U8
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.scoring.smooth import smooth
from hf2vad.training.data import StcTable

Kind = Literal["speed2", "speed3", "against", "content", "size", "place", "class"]
KINDS: Mapping[Kind, str] = {
    "speed2": "every second frame skipped: flows of two steps, summed",
    "speed3": "two of three frames skipped: flows of three steps, summed",
    "against": "the frames in reverse, the flow turned round",
    "content": "another object of the same clip that moves as this one does",
    "size": "in a box as large as another object's of the same clip",
    "place": "where another object of the same clip is",
    "class": "of a class that no detector has",
}
FAMILIES: tuple[tuple[Kind, ...], ...] = (
    ("speed2", "speed3"),
    ("against",),
    ("content",),
    ("size",),
    ("place",),
    ("class",),
)
"""Kinds of anomaly, each of which counts the same."""
NEVER_SEEN = np.iinfo(np.int32).max
"""Number of a class that no detector has."""

SAME_OBJECT = 0.3
"""Intersection over union from which a box in the next frame is the same object."""


@dataclass(frozen=True)
class HeldOut:
    """Cubes of some videos, in the order of videos and frames."""

    video: npt.NDArray[np.int64]
    """(B,): number of the video."""
    frame: npt.NDArray[np.int32]
    """(B,): the frame that each cube ends in."""
    cubes: CubeArrays
    """Cubes with their appearance."""

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def kinds(self) -> list[Kind]:
        """Kinds of anomaly that can be made of these cubes: `class` where a detector has given some of them a class."""
        classes = self.cubes.classes
        classed = classes is not None and bool((classes >= 0).any())
        return [kind for kind in KINDS if kind != "class" or classed]


def cubes_of(table: StcTable, most: int) -> HeldOut:
    """The first cubes of each video of `table`, about `most` in all."""
    videos = sorted({file.video for file in table.files})
    share = max(1, most // max(1, len(videos)))
    taken = dict.fromkeys(videos, 0)
    parts = []
    for file, cubes in table.in_order():
        if taken[file.video] < share:
            taken[file.video] += len(cubes)
            number = np.full(len(cubes), videos.index(file.video), np.int64)
            read = (cubes.boxes, cubes.flow, cubes.appearance, cubes.classes, cubes.class_scores, cubes.at_edge)
            parts.append((number, cubes.frame, *read))
    video, frame, boxes, flow, appearance, classes, sure, edge = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    arrays = CubeArrays(boxes=boxes, flow=flow, appearance=appearance, classes=classes, class_scores=sure, at_edge=edge)
    return HeldOut(video, frame, arrays)


def pseudo_anomalies(held: HeldOut, kind: Kind, *, seed: int = 0) -> CubeArrays:
    """Every cube of `held` made unusual in the way of `kind`, one of `held.kinds`; pixels and flow still say the same.

    Objects without a class stay without one. Pixels of another object bring its class with them.
    """
    boxes, flow, frames = held.cubes.boxes, held.cubes.flow, held.cubes.pixels
    classes, sure, edge = held.cubes.classes, held.cubes.class_scores, held.cubes.at_edge
    step = flow.astype(np.float32)
    if kind == "speed2":
        first, second = step[:, 0] + step[:, 1], step[:, 2] + step[:, 3]
        before = [_moved_back(frames[:, 0], times * first, boxes) for times in (2, 1)]
        frames = np.stack([*before, frames[:, 0], frames[:, 2], frames[:, 4]], axis=1)
        flow = np.stack([first, first, first, second], axis=1).astype(np.float16)
    elif kind == "speed3":
        jump = step[:, 1] + step[:, 2] + step[:, 3]
        before = [_moved_back(frames[:, 1], times * jump, boxes) for times in (3, 2, 1)]
        frames = np.stack([*before, frames[:, 1], frames[:, 4]], axis=1)
        flow = np.stack([jump] * FLOWS, axis=1).astype(np.float16)
    elif kind == "against":
        frames, flow = frames[:, ::-1].copy(), -flow[:, ::-1]
    elif kind == "class":
        assert classes is not None
        classes = np.where(classes < 0, classes, NEVER_SEEN)
    else:
        other = _others(held, seed)
        if kind == "content":
            still = frames[other, -1]
            before = [_moved_back(still, step[:, since:].sum(1), boxes) for since in range(FLOWS)]
            frames = np.stack([*before, still], axis=1)
            classes = None if classes is None else classes[other]
            sure = None if sure is None else sure[other]
        else:
            boxes = (_in_size_of if kind == "size" else _at_place_of)(boxes, boxes[other])
            edge = edge if edge is None or kind == "size" else edge[other]
    return CubeArrays(boxes=boxes, flow=flow, appearance=frames, classes=classes, class_scores=sure, at_edge=edge)


def _others(held: HeldOut, seed: int) -> npt.NDArray[np.int64]:
    """(B,): for each cube another one of its clip."""
    rng = np.random.default_rng([seed, 4])
    other = np.arange(len(held))
    for video in np.unique(held.video):
        rows = np.flatnonzero(held.video == video)
        other[rows] = rows[(np.arange(len(rows)) + rng.integers(1, max(2, len(rows)))) % len(rows)]
    return other


def _moved_back(pictures: U8, motion: F32, boxes: F32) -> U8:
    """(B, 32, 32, 3) pictures as they were before they moved by (B, 32, 32, 2) pixels of the source.

    boxes: (B, 4), whose crops they are.
    """
    size = np.ceil(boxes[:, 2:]) - np.ceil(boxes[:, :2])
    shift = motion * (SIZE / np.maximum(size, 1.0))[:, None, None].astype(np.float32)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    moved = [
        cv2.remap(picture, columns + dx, rows + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for picture, dx, dy in zip(pictures, shift[..., 0], shift[..., 1], strict=True)
    ]
    return np.asarray(moved, np.uint8).reshape(pictures.shape)


def _in_size_of(boxes: F32, others: F32) -> F32:
    """(B, 4) boxes on the same foot points, as large as others."""
    foot, row = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]
    width, height = others[:, 2] - others[:, 0], others[:, 3] - others[:, 1]
    return np.stack([foot - width / 2, row - height, foot + width / 2, row], axis=1)


def _at_place_of(boxes: F32, others: F32) -> F32:
    """(B, 4) boxes as large as they are, with their centres where others have theirs."""
    shift = (others[:, :2] + others[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    return np.concatenate([boxes[:, :2] + shift, boxes[:, 2:] + shift], axis=1)


def follow(held: HeldOut, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Rows of `held`, at most one a frame: an object followed by the overlap of its boxes; when it is gone, another."""
    rng = np.random.default_rng([seed, 5])
    rows: list[int] = []
    last: int | None = None
    key = held.video * 2**32 + held.frame
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(key)], strict=True):
        if last is not None and key[start] != key[last] + 1:
            last = None
        if last is not None:
            overlap = _overlaps(held.cubes.boxes[start:stop], held.cubes.boxes[last])
            last = int(start + overlap.argmax()) if overlap.max() >= SAME_OBJECT else None
        if last is None:
            last = int(rng.integers(start, stop))
        rows.append(last)
    return np.array(rows, np.int64)


def _overlaps(boxes: F32, box: F32) -> F64:
    size = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(size, 0, None).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(area - shared, 1e-9), np.float64)


def separation(held: HeldOut, normal: F64, unusual: F64, *, smoothing: SmoothingRule, repeats: int = 3) -> float:
    """AUROC that smoothed frame scores reach between the clips as they are and the clips with one unusual object.

    `normal`, `unusual`: (B,) scores of each cube as it is and made unusual. Frames without a cube do not count.
    """
    key = held.video * 2**32 + held.frame
    frames, row = np.unique(key, return_inverse=True)
    plain = np.full(len(frames), -np.inf)
    np.maximum.at(plain, row, normal)
    clips = [plain]
    for repeat in range(repeats):
        chosen = follow(held, seed=repeat)
        mixed = plain.copy()
        np.maximum.at(mixed, row[chosen], unusual[chosen])
        clips.append(mixed)
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    smoothed = [
        np.concatenate([smooth(part, smoothing.frames, smoothing.ends) for part in np.split(clip, cuts)])
        for clip in clips
    ]
    truth = np.repeat([False] + [True] * repeats, len(frames))
    from sklearn.metrics import roc_auc_score  # seconds and megabytes that only --select pays

    return float(roc_auc_score(truth, np.concatenate(smoothed)))


def figure_row(step: str, candidate: str, figures: Mapping[Kind, float]) -> dict[str, Any]:
    """One row of `Selection.figures`; `mean` is over FAMILIES."""
    families = [[figures[kind] for kind in family if kind in figures] for family in FAMILIES]
    mean = float(np.mean([np.mean(family) for family in families if family]))
    return {"step": step, "candidate": candidate, **dict(figures.items()), "mean": mean, "chosen": False}


def first_best(means: Sequence[float], margin: float) -> int:
    """Position of the best of `means`, where a later one must beat an earlier one by more than `margin`."""
    best = 0
    for position, mean in enumerate(means):
        if mean > means[best] + margin:
            best = position
    return best
