"""Detections of one frame carried to another by sparse optical flow (pyramidal Lucas-Kanade, Bouguet 2000)."""

from __future__ import annotations

import numpy as np

from hf2vad.cubes.detectors.detector import Detections, box_order
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32, U8

POINTS = 4
"""Points along each side of a box that are followed."""
MIDDLE = 0.8
"""Share of a box's sides, in its middle, that they are spread over."""
WINDOW = 11
"""Pixels along a side of what is compared around a point."""
LEVELS = 3
"""Halvings of the picture: points are followed for some tens of pixels."""


def carried(detections: Detections, seen: U8, now: U8, min_area: float) -> Detections:
    """`detections` in the (H, W) grey frame `seen`, where they are in the (H, W) grey frame `now`.

    A box moves by the median motion of the points in it that can be followed, keeps its size, its class and its score,
    and is clipped to the frame. One of which less than `min_area` square pixels are left is dropped. Sorted by y1, x1,
    y2, x2.
    """
    if not len(detections.boxes):
        return detections
    height, width = now.shape
    moved = detections.boxes + np.tile(motions(detections.boxes, seen, now), 2)
    boxes = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
    order = box_order(boxes)
    kept = order[(boxes[order, 2:] - boxes[order, :2]).prod(axis=1) >= max(min_area, 1e-6)]
    classes, scores = (None if each is None else each[kept] for each in (detections.classes, detections.scores))
    return Detections(boxes[kept], classes, scores)


def motions(boxes: F32, seen: U8, now: U8) -> F32:
    """(N, 2) motion (dx, dy) of what is in (N, 4) `boxes` from frame `seen` to frame `now`, in pixels.

    It is 0 for a box in which no point can be followed.
    """
    shares = (1 - MIDDLE) / 2 + MIDDLE * (np.arange(POINTS, dtype=np.float32) + 0.5) / POINTS
    grid = np.stack(np.meshgrid(shares, shares), axis=2).reshape(-1, 2)
    points = boxes[:, None, :2] + grid * (boxes[:, None, 2:] - boxes[:, None, :2])
    places, followed, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        seen, now, points.reshape(-1, 1, 2), None, winSize=(WINDOW, WINDOW), maxLevel=LEVELS
    )
    motion = places.reshape(points.shape) - points
    followed = followed.reshape(points.shape[:2]) > 0
    medians = [np.median(of_box[sure], axis=0) for of_box, sure in zip(motion, followed, strict=True) if sure.any()]
    found = np.zeros((len(boxes), 2), np.float32)
    found[followed.any(axis=1)] = np.array(medians, np.float32).reshape(-1, 2)
    return found
