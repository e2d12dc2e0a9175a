"""Boxes of what moves: thresholded differences of neighbouring frames (paper §4.1; METHOD §1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import MotionConfig
from hf2vad.schema import F32, U8


def blurred(grey: U8, config: MotionConfig) -> U8:
    """What `motion_boxes` takes for a (H, W) grey frame."""
    return np.asarray(cv2.GaussianBlur(grey, (config.blur, config.blur), 0), np.uint8)


def motion_boxes(before: U8 | None, current: U8, after: U8 | None, known: F32, config: MotionConfig) -> F32:
    """(N, 4) boxes x1, y1, x2, y2 (the end exclusive) of what moves around the current frame, outside `known` boxes.

    `before`, `current`, `after`: blurred frames, none where the video has none. The differences to both neighbours are
    added so that they saturate instead of wrapping around. Sorted by y1, x1, y2, x2.
    """
    height, width = current.shape
    moving = _moving([frame for frame in (before, after) if frame is not None], current, config.threshold)
    for x1, y1, x2, y2 in grown(known, config.grow, width, height):
        moving[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))] = 0
    contours, _ = cv2.findContours(moving, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        if cv2.contourArea(contour) > config.min_area and max(w, h) < config.max_aspect * min(w, h):
            boxes.append((x, y, x + w, y + h))
    found = grown(np.array(boxes, np.float32).reshape(-1, 4), config.grow, width, height)
    return in_order(found)


def _moving(neighbours: Sequence[U8], current: U8, threshold: int) -> U8:
    """(H, W), 1 where the differences to the neighbours add up to more than `threshold`, 0 elsewhere.

    A sum that saturates at 255 is above a threshold below 255 where the true one is; others are added in 16 bits.
    """
    differences = [np.asarray(cv2.absdiff(neighbour, current), np.uint8) for neighbour in neighbours]
    if threshold >= 255:
        wide = np.zeros(current.shape, np.uint16)
        for difference in differences:
            wide += difference
        return (wide > threshold).view(np.uint8)
    total = np.zeros_like(current)
    for difference in differences:
        total = np.asarray(cv2.add(total, difference), np.uint8)
    return (total > threshold).view(np.uint8)


def in_order(boxes: F32) -> F32:
    """`boxes` sorted by y1, x1, y2, x2, so that their order depends on nothing else."""
    return boxes[np.lexsort((boxes[:, 2], boxes[:, 3], boxes[:, 0], boxes[:, 1]))]


def grown(boxes: F32, pixels: int, width: int, height: int) -> F32:
    """`boxes` with `pixels` more on each side, clipped to the frame."""
    larger = boxes + np.array([-pixels, -pixels, pixels, pixels], np.float32)
    return np.clip(larger, 0, np.array([width, height, width, height], np.float32))
