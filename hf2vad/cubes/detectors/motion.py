"""Boxes of what moves: thresholded differences of neighbouring frames (paper §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from hf2vad.cubes.detectors.detector import Detections, Detector, FrameContext, Resources, box_order
from hf2vad.cubes.detectors.ground import FEWEST, LEVELS
from hf2vad.cubes.detectors.settings import MotionConfig
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32, U8

GRID = 8
"""Pixels between those that tell how bright a frame is, across and down."""
NEAR = 0.1
"""Share of the median ratio within which a pixel's ratio agrees with it."""
UNEVEN = 0.015
"""Difference in brightness, as a share, from which on frames are made alike. Daylight changes less in one frame."""


class MotionDetector(Detector):
    """Boxes of what moves outside the boxes of the detectors before it. Its settings are the section `motion`."""

    Settings: ClassVar[type] = MotionConfig
    needs_neighbours: ClassVar[bool] = True

    def __init__(self, settings: MotionConfig, resources: Resources) -> None:
        self._settings = settings

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """Boxes of what moves between `frame` and its neighbours, sorted by y1, x1, y2, x2."""
        near = frame.neighbours
        assert near is not None
        return Detections(motion_boxes(near.before, near.current, near.after, earlier, self._settings))


def blurred(grey: U8, config: MotionConfig) -> U8:
    """A (H, W) grey frame, smoothed as `motion_boxes` takes it."""
    return np.asarray(cv2.GaussianBlur(grey, (config.blur, config.blur), 0), np.uint8)


def motion_boxes(before: U8 | None, current: U8, after: U8 | None, earlier: F32, config: MotionConfig) -> F32:
    """(N, 4) boxes x1, y1, x2, y2 (the end exclusive) of what moves around the current frame, outside `earlier` boxes.

    `before`, `current`, `after`: (H, W) blurred frames, None where there is none. The differences to both neighbours
    are added so that they saturate; the release let them wrap around. Sorted by y1, x1, y2, x2.
    """
    height, width = current.shape
    neighbours = [frame for frame in (before, after) if frame is not None]
    if config.even_light:
        neighbours = [evened(frame, current) for frame in neighbours]
    moving = _moving(neighbours, current, config.threshold)
    for x1, y1, x2, y2 in grown(earlier, config.grow, width, height):
        moving[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))] = 0
    contours, _ = cv2.findContours(moving, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        if cv2.contourArea(contour) > config.min_area and max(w, h) < config.max_aspect * min(w, h):
            boxes.append((x, y, x + w, y + h))
    around = grown(np.array(boxes, np.float32).reshape(-1, 4), config.grow, width, height)
    return around[box_order(around)]


def evened(neighbour: U8, current: U8) -> U8:
    """A (H, W) grey frame, made as bright as the current one where the two differ by `UNEVEN` or more.

    How much brighter one is than the other is the median ratio of pixels on a grid. An object does not change it; where
    something covers so much that half of the ratios are far from it, the frame stays as it is.
    """
    grid = (slice(GRID // 2, None, GRID), slice(GRID // 2, None, GRID))
    before, now = neighbour[grid], current[grid]
    telling = (np.minimum(before, now) >= LEVELS[0]) & (np.maximum(before, now) <= LEVELS[1])
    if np.count_nonzero(telling) < FEWEST:
        return neighbour
    ratios = now[telling] / before[telling].astype(np.float32)
    gain = float(np.median(ratios))
    if abs(gain - 1) < UNEVEN or np.mean(np.abs(ratios - gain) < NEAR * gain) < 0.5:
        return neighbour
    return np.asarray(cv2.convertScaleAbs(neighbour, alpha=gain), np.uint8)


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


def grown(boxes: F32, pixels: int, width: int, height: int) -> F32:
    """(N, 4) `boxes` with `pixels` more on each side, clipped to a frame of `width` × `height`."""
    larger = boxes + np.array([-pixels, -pixels, pixels, pixels], np.float32)
    return np.clip(larger, 0, np.array([width, height, width, height], np.float32))
