"""Boxes of what is not background: whole objects, moving or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from hf2vad.cubes.detectors.detector import NO_BOXES, Detections, Detector, FrameContext, Resources, box_order
from hf2vad.cubes.detectors.motion import grown
from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32, U8

GROW = 2
"""Pixels added on each side of a box, and of an earlier detector's box before what is in it is ignored."""
LONGEST = 10
"""Boxes whose longer side is at least so many times the shorter one are dropped."""
SPARSE = 4
"""One pixel in so many, across and down, tells how bright a picture is."""


class ForegroundDetector(Detector):
    """Boxes of connected foreground outside the boxes of the detectors before it.

    Someone who stands still is found as long as the background does not show them: for half of the ten minutes that it
    is made of, or half of a shorter video.
    """

    Settings: ClassVar[type] = ForegroundConfig

    def __init__(self, settings: ForegroundConfig, resources: Resources) -> None:
        self._settings = settings
        self._ground: tuple[U8, Ground] | None = None

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """Boxes of the foreground of `frame`, sorted by y1, x1, y2, x2; none where it has no background."""
        if frame.background is None or frame.background.shape != frame.image.shape:
            return Detections(NO_BOXES)
        settings = self._settings
        height, width = frame.image.shape[:2]
        if self._ground is None or self._ground[0] is not frame.background:
            self._ground = frame.background, Ground.of(frame.background)
        mask = foreground(frame.image, self._ground[1], settings.threshold)
        if mask.mean() > settings.most:
            return Detections(NO_BOXES)
        for x1, y1, x2, y2 in grown(earlier, GROW, width, height):
            mask[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))] = 0
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (settings.close, settings.close))
        contours, _ = cv2.findContours(
            cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        boxes = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            if cv2.contourArea(contour) > settings.min_area and max(w, h) < LONGEST * min(w, h):
                boxes.append((x, y, x + w, y + h))
        around = grown(np.array(boxes, np.float32).reshape(-1, 4), GROW, width, height)
        return Detections(around[box_order(around)])


@dataclass(frozen=True)
class Ground:
    """A background as `foreground` compares frames with it."""

    smoothed: U8
    """(H, W, 3) BGR."""
    brightness: float
    """Median grey level."""

    @classmethod
    def of(cls, background: U8) -> Self:
        return cls(np.asarray(cv2.GaussianBlur(background, (3, 3), 0), np.uint8), brightness(background))


def brightness(picture: U8) -> float:
    """Median grey level of a (H, W, 3) picture, at least 1."""
    return max(1.0, float(np.median(picture[::SPARSE, ::SPARSE])))


def foreground(image: U8, ground: Ground, threshold: int) -> U8:
    """(H, W), 1 where `image` differs from `ground` by more than `threshold` in some channel, 0 elsewhere.

    image: (H, W, 3) BGR. The background is first made as bright as the image, in the median.
    """
    lit = cv2.convertScaleAbs(ground.smoothed, alpha=brightness(image) / ground.brightness)
    blue, green, red = cv2.split(cv2.absdiff(cv2.GaussianBlur(image, (3, 3), 0), lit))
    return (np.asarray(cv2.max(cv2.max(blue, green), red), np.uint8) > threshold).view(np.uint8)
