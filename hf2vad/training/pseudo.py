"""Pseudo-anomalies: what is unusual, made of normal cubes, so that settings can be chosen without labels.

A held-out clip is scored as it is, and again with one object of each frame, followed from frame to frame, made unusual.
What tells the two apart is worth having.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from hf2vad.features.feature import CubeArrays
from hf2vad.schema import F16, F32, F64
from hf2vad.scoring.smooth import smooth
from hf2vad.training.data import StcTable

Kind = Literal["speed2", "speed3", "against", "content"]
KINDS: Mapping[Kind, str] = {
    "speed2": "every second frame skipped: flows of two steps, summed",
    "speed3": "two of three frames skipped: flows of three steps, summed",
    "against": "the pixels as they are, the flow turned round",
    "content": "the pixels of another cube of the same clip, with this cube's flow",
}

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
    """With their appearance."""

    def __len__(self) -> int:
        return len(self.frame)


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
            parts.append((number, cubes.frame, cubes.boxes, cubes.flow, cubes.appearance))
    video, frame, boxes, flow, appearance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return HeldOut(video, frame, CubeArrays(boxes=boxes, flow=flow, appearance=appearance))


def pseudo_anomalies(held: HeldOut, kind: Kind, *, seed: int = 0) -> CubeArrays:
    """Every cube of `held` made unusual in the way of `kind`."""
    frames, flow = held.cubes.pixels, held.cubes.flow
    step = flow.astype(np.float32)
    if kind == "speed2":
        flow = _flows(step[:, 0] + step[:, 1], step[:, 2] + step[:, 3])
        frames = frames[:, [0, 0, 2, 2, 4]]
    elif kind == "speed3":
        flow = _flows(step[:, 0] + step[:, 1] + step[:, 2], step[:, 1] + step[:, 2] + step[:, 3])
        frames = frames[:, [0, 0, 1, 1, 4]]
    elif kind == "against":
        flow = -flow
    else:
        rng = np.random.default_rng([seed, 4])
        other = np.arange(len(held))
        for video in np.unique(held.video):
            rows = np.flatnonzero(held.video == video)
            other[rows] = rows[(np.arange(len(rows)) + rng.integers(1, max(2, len(rows)))) % len(rows)]
        frames = frames[other]
    return CubeArrays(boxes=held.cubes.boxes, flow=flow, appearance=frames)


def _flows(first: F32, second: F32) -> F16:
    return np.stack([first, first, second, second], axis=1).astype(np.float16)


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


def separation(held: HeldOut, normal: F64, unusual: F64, *, smoothing: int, repeats: int = 3) -> float:
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
    smoothed = [np.concatenate([smooth(part, smoothing) for part in np.split(clip, cuts)]) for clip in clips]
    truth = np.repeat([False] + [True] * repeats, len(frames))
    return float(roc_auc_score(truth, np.concatenate(smoothed)))


def figure_row(step: str, candidate: str, figures: Mapping[Kind, float]) -> dict[str, Any]:
    """One row of `Selection.figures`."""
    mean = float(np.mean(list(figures.values())))
    return {"step": step, "candidate": candidate, **dict(figures.items()), "mean": mean, "chosen": False}


def first_best(means: Sequence[float], margin: float) -> int:
    """Position of the best of `means`, where a later one must beat an earlier one by more than `margin`."""
    best = 0
    for position, mean in enumerate(means):
        if mean > means[best] + margin:
            best = position
    return best
