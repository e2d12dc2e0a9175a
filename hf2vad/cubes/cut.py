"""Cutting boxes out of frames and flow fields (METHOD §1)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from hf2vad.schema import APPEARANCE_SHAPE, F16, F32, FLOW_SHAPE, FLOWS, FRAMES, SIZE, U8


def pixel_boxes(boxes: F32, width: int, height: int) -> npt.NDArray[np.int32]:
    """(N, 4) boxes in whole pixels: coordinates rounded up, the end exclusive, clipped to the frame."""
    whole = np.ceil(boxes).astype(np.int64)
    return np.clip(whole, 0, np.array([width, height, width, height])).astype(np.int32)


def cut_cubes(boxes: F32, frames: Sequence[U8], flows: Sequence[F32]) -> tuple[F32, U8, F16]:
    """The cubes of `boxes` (N, 4) in the last of five frames (H, W, 3), with the four flows (H, W, 2) before it.

    Returns the boxes that have an area after rounding and clipping, (B, 4), their (B, 5, 32, 32, 3) pixels and
    (B, 4, 32, 32, 2) flow. The aspect ratio is not kept. All 15 pixel channels of a box are resized at once, and all 8
    of the flow: bit-identical to one at a time.
    """
    height, width = frames[-1].shape[:2]
    whole = pixel_boxes(boxes, width, height)
    kept = (whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])
    appearance = np.empty((int(kept.sum()), *APPEARANCE_SHAPE), np.uint8)
    flow = np.empty((len(appearance), *FLOW_SHAPE), np.float16)
    for i, (x1, y1, x2, y2) in enumerate(whole[kept]):
        pixels = _resized([frame[y1:y2, x1:x2] for frame in frames])
        appearance[i] = pixels.reshape(SIZE, SIZE, FRAMES, 3).transpose(2, 0, 1, 3)
        vectors = _resized([field[y1:y2, x1:x2] for field in flows])
        flow[i] = vectors.reshape(SIZE, SIZE, FLOWS, 2).transpose(2, 0, 1, 3)
    return boxes[kept], appearance, flow


def _resized(crops: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    stacked = np.concatenate(crops, axis=2)
    return np.asarray(cv2.resize(stacked, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))
