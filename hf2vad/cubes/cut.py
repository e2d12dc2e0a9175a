"""Cutting boxes out of frames and flow fields (paper §3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.follow import LOOKS, Follower
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import APPEARANCE_SHAPE, F16, F32, FLOW_SHAPE, SIZE, U8

Mask = npt.NDArray[np.bool_]

EDGE = 0.005
"""Distance from the picture's edge up to which a box counts as cut by it, as a share of the picture's longer side."""


def pixel_boxes(boxes: F32, width: int, height: int) -> npt.NDArray[np.int32]:
    """(N, 4) boxes in whole pixels: coordinates rounded up, the end exclusive, clipped to `width` × `height`."""
    whole = np.ceil(boxes).astype(np.int64)
    return np.clip(whole, 0, np.array([width, height, width, height])).astype(np.int32)


def at_edge(boxes: F32, size: tuple[int, int]) -> Mask:
    """(N,): which of (N, 4) boxes the edge of a picture of `size` (width, height) cuts."""
    near = EDGE * max(size)
    far = np.array(size, np.float32) - near
    return np.asarray((boxes[:, :2] <= near).any(1) | (boxes[:, 2:] >= far).any(1), np.bool_)


def cut_cubes(
    boxes: F32, frames: Sequence[U8], flows: Sequence[F32], follow: Sequence[tuple[float, float]] | None = None
) -> tuple[Mask, U8, F16]:
    """Cut (N, 4) `boxes` of the last of five frames, each (H, W, 3), out of all five and out of the four flows between.

    `flows`: (H, W, 2) each. `follow`: for each flow factors, across and down, that make of its vectors pixels from one
    frame to the next; each flow is then cut where the box's object was in the frame that the flow begins in. None: all
    are cut where the box is. Returns a mask (N,) of the B boxes that have an area after rounding and clipping, their
    (B, 5, 32, 32, 3) pixels and their (B, 4, 32, 32, 2) flow. Crops do not keep their aspect ratio, and vectors are not
    rescaled with them.
    """
    height, width = frames[-1].shape[:2]
    whole = pixel_boxes(boxes, width, height)
    kept = (whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])
    appearance = np.empty((int(kept.sum()), *APPEARANCE_SHAPE), np.uint8)
    flow = np.empty((len(appearance), *FLOW_SHAPE), np.float32)
    # Straight into place: OpenCV 5 has no vector code beyond four channels, and stacking crops costs more than it saves
    for i, (x1, y1, x2, y2) in enumerate(whole[kept].tolist()):
        for t, frame in enumerate(frames):
            _resize_into(appearance[i, t], frame[y1:y2, x1:x2])
        if follow is not None:
            _cut_along(flow[i], (x1, y1, x2, y2), flows, follow)
            continue
        for t, field in enumerate(flows):
            _resize_into(flow[i, t], field[y1:y2, x1:x2])
    return kept, appearance, half(flow)


def _cut_along(
    target: F32, box: tuple[int, int, int, int], flows: Sequence[F32], per_frame: Sequence[tuple[float, float]]
) -> None:
    """Cut `flows` into (4, 32, 32, 2) `target`, from the last to the first, each where the box's object was then."""
    height, width = flows[0].shape[:2]
    follower = Follower(box, (width, height))
    for t in reversed(range(len(flows))):
        follower.begin()
        for _ in range(LOOKS):
            _resize_into(target[t], follower.part(flows[t]))
            if not follower.back(target[t], per_frame[t]):
                break
        else:
            _resize_into(target[t], follower.part(flows[t]))


def half(values: F32) -> F16:
    """Finite `values` of any shape as float16, rounded to the nearest even: what NumPy does, in a tenth of its time."""
    if not values.size:
        return values.astype(np.float16)
    rows = values.reshape(len(values), -1)
    return np.asarray(cv2.addWeighted(rows, 1, rows, 0, -0.0, dtype=cv2.CV_16F), np.float16).reshape(values.shape)


def _resize_into(target: U8 | F32, crop: U8 | F32) -> None:
    cv2.resize(crop, (SIZE, SIZE), dst=target, interpolation=cv2.INTER_LINEAR)
