"""Whole objects on screen: boxes of one frame that touch and move alike, drawn as one. Scores stay those of the parts.

Motion boxes are often parts of a thing: a cart's pillar, a pair of legs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.evidence.objects import Objects
from hf2vad.schema import BOX, F32, F64

I64 = npt.NDArray[np.int64]

GAP = 0.1
"""Boxes touch across a gap of at most this share of the smaller one's shorter side."""
FASTER = 2.0
"""Speeds are alike up to this ratio."""
STILL = 1.0
"""A box that moved by fewer pixels since the frame before has no direction."""
FILLED = 0.65
"""The parts cover at least this share of the whole's box: a rider and someone who passes in front of him do not."""
SAME = 0.3
"""Overlap (intersection over union) from which boxes of neighbouring frames are of one thing."""
BESIDE = 0.75
"""Two boxes side by side whose heights and places are alike to this share are two people, and not one thing."""


def whole_boxes(objects: Objects, frame: int) -> F32:
    """(N, 4): for each box of a frame, the box of the whole object that it is part of.

    Whether boxes move alike is told by the last frame before that has boxes, and by their speeds.
    """
    here = objects.of(frame, frame + 1)
    last = int(objects.frame[here.start - 1]) if here.start else frame
    boxes, before = objects.boxes[here], objects.of(last, min(last + 1, frame))
    shifts = _shifts(boxes, objects.boxes[before])
    groups = np.arange(len(boxes))
    for i, j in _touching(boxes):
        joined = (groups == groups[i]) | (groups == groups[j])
        if _alike(i, j, shifts, objects.speed[here]) and not _side_by_side(boxes[i], boxes[j]) and _fill(boxes[joined]):
            groups[joined] = groups[i]
    whole = boxes.copy()
    for group in np.unique(groups):
        own = groups == group
        whole[own, :2], whole[own, 2:] = boxes[own, :2].min(0), boxes[own, 2:].max(0)
    return whole


def whole_of(objects: Objects, row: Mapping[str, Any]) -> list[float]:
    """The box of the whole object that a row of `objects` is part of."""
    here = objects.of(row["frame"], row["frame"] + 1)
    asked = np.array([row[name] for name in BOX], np.float32)
    number = int(np.abs(objects.boxes[here] - asked).sum(1).argmin())
    return [float(corner) for corner in whole_boxes(objects, row["frame"])[number]]


def overlaps(boxes: F32, others: F32) -> F64:
    """(N, M): intersection over union."""
    inside = shared_areas(boxes, others)
    area, other = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others))
    return np.asarray(inside / np.maximum(area[:, None] + other[None] - inside, 1e-9), np.float64)


def shared_areas(boxes: F32, others: F32) -> F32:
    """(N, M): area that each of (N, 4) boxes shares with each of (M, 4) others."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=2), np.float32)


def _shifts(boxes: F32, before: F32) -> F64:
    """(N, 2): how far the centre of each box moved since the frame before, in pixels; NaN where it has no match."""
    if not len(before) or not len(boxes):
        return np.full((len(boxes), 2), np.nan)
    shared = overlaps(boxes, before)
    match = shared.argmax(1)
    moved = (boxes[:, :2] + boxes[:, 2:] - before[match, :2] - before[match, 2:]) / 2
    return np.where(shared.max(1, keepdims=True) >= SAME, moved, np.nan)


def _touching(boxes: F32) -> I64:
    """(P, 2): pairs of boxes that overlap, or nearly."""
    room = GAP * (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf)
    gap = np.maximum(boxes[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - boxes[:, None, 2:]).max(2)
    return np.argwhere(np.triu(gap <= np.minimum(room[:, None], room[None]), 1))


def _alike(i: int, j: int, shifts: F64, speed: F32) -> bool:
    """True if two boxes are about equally fast and do not move in opposite directions."""
    slow, fast = sorted((float(speed[i]), float(speed[j])))
    moving = min(float(np.hypot(*shifts[i])), float(np.hypot(*shifts[j]))) >= STILL
    return fast <= FASTER * slow and not (moving and float(shifts[i] @ shifts[j]) < 0)


def _fill(boxes: F32) -> bool:
    """True if boxes cover most of the box around them all. Overlap counts twice, which errs towards one object."""
    around = np.prod(boxes[:, 2:].max(0) - boxes[:, :2].min(0))
    return bool(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum() >= FILLED * around)


def _side_by_side(one: F32, other: F32) -> bool:
    """True if two boxes are equally tall, equally high in the picture, and hardly overlap."""
    tall, taller = sorted((float(one[3] - one[1]), float(other[3] - other[1])))
    shared = min(one[3], other[3]) - max(one[1], other[1])
    narrow = min(one[2] - one[0], other[2] - other[0])
    across = min(one[2], other[2]) - max(one[0], other[0])
    upright = tall > narrow
    return bool(upright and tall >= BESIDE * taller and shared >= BESIDE * taller and across < 0.5 * narrow)
