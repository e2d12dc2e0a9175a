"""Pictures of a camera that sways, in wind or on a pole that trembles, laid on its background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from hf2vad.schema import F32, U8

CORNERS = 200
"""Corners of a background, at most, that are looked for in each picture."""
APART = 1 / 20
"""Least distance between two corners, as a share of the picture's longer side: they are spread over it."""
STRENGTH = 0.01
"""Strength of the weakest corner, as a share of the strongest."""
WINDOW = 11
"""Pixels along a side of what is compared around a corner."""
LEVELS = 2
"""Halvings of the picture: corners are found within some 20 pixels."""
CLOSE = 1.0
"""Pixels within which a corner agrees with a motion of the picture."""
FEWEST = 12
"""Corners that agree, below which a motion is not trusted: of 200 corners of another place, 10 agreed at most."""
SPARSE = 4
"""One pixel in so many, across and down, tells how bright a picture is."""

Motion = npt.NDArray[np.float64]
"""(2, 3) matrix that takes a place (x, y, 1) in the background to its place in a picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Corners of a background, by which pictures are laid on it."""

    picture: U8
    """(H, W, 3) BGR: the background."""
    grey: U8
    """(H, W): the background."""
    corners: F32
    """(N, 1, 2): x, y of its corners."""

    @classmethod
    def of(cls, picture: U8, covered: U8 | None = None) -> Self:
        """The landmarks of a (H, W, 3) BGR background; none of them lies by what is `covered` (H, W; 255) by text."""
        grey = in_grey(picture)
        clear = None if covered is None else cv2.bitwise_not(widened(covered, WINDOW // 2))
        found = cv2.goodFeaturesToTrack(grey, CORNERS, STRENGTH, APART * max(grey.shape), mask=clear)
        return cls(picture, grey, np.empty((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32))

    def motion(self, grey: U8) -> Motion | None:
        """The motion from the background to a (H, W) grey picture: a shift, a turn and a change of size.

        The picture may be brighter or darker. None where too few corners agree on a motion: the camera has turned, or
        what it sees is hidden.
        """
        found = self._found(grey)
        return None if found is None else found[0]

    def agreeing(self, greys: Sequence[U8]) -> Self:
        """These landmarks without the corners that agree in less than half of the (H, W) grey pictures that have a
        motion: they are of someone who was there once."""
        found = [each[1] for each in map(self._found, greys) if each is not None]
        if not found:
            return self
        return replace(self, corners=self.corners[np.mean(found, axis=0) >= 0.5])

    @property
    def spread(self) -> float:
        """Share of the picture that lies between the corners: the area of their convex hull."""
        if len(self.corners) < FEWEST:
            return 0.0
        return float(cv2.contourArea(cv2.convexHull(self.corners))) / self.grey.size

    def _found(self, grey: U8) -> tuple[Motion, npt.NDArray[np.bool_]] | None:
        """The motion to a (H, W) grey picture, and which of the (N,) corners agree on it; None where too few do."""
        if grey.shape != self.grey.shape or len(self.corners) < FEWEST:
            return None
        alike = cv2.convertScaleAbs(grey, alpha=self._levels[0] / brightness(grey))
        places, followed, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            self.grey, alike, self.corners, None, winSize=(WINDOW, WINDOW), maxLevel=LEVELS
        )
        sure = followed.ravel() > 0
        if np.count_nonzero(sure) < FEWEST:
            return None
        # RANSAC draws the same corners each time: OpenCV's generator begins anew with every call.
        motion, agreeing = cv2.estimateAffinePartial2D(
            self.corners[sure], places[sure], method=cv2.RANSAC, ransacReprojThreshold=CLOSE
        )
        if motion is None or np.count_nonzero(agreeing) < FEWEST:
            return None
        sure[sure] = agreeing.ravel() > 0
        return np.asarray(motion, np.float64), sure

    def distance(self, motion: Motion) -> float:
        """Pixels by which a motion takes the corners away: the median."""
        moved = cv2.transform(self.corners, motion) - self.corners
        return float(np.median(np.linalg.norm(moved, axis=2)))

    def laid(self, image: U8, motion: Motion) -> U8:
        """A (H, W, 3) picture moved to where the background is. What it does not show is the background, as bright as
        the picture."""
        height, width = self.grey.shape
        behind = cv2.convertScaleAbs(self.picture, alpha=brightness(image) / self._levels[1])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(image, motion, (width, height), behind, flags, cv2.BORDER_TRANSPARENT), np.uint8
        )

    @cached_property
    def _levels(self) -> tuple[float, float]:
        """Brightness of the grey background, and of the coloured one."""
        return brightness(self.grey), brightness(self.picture)


def widened(mask: U8, pixels: int) -> U8:
    """A (H, W) mask, so many pixels wider on every side."""
    return np.asarray(cv2.dilate(mask, np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)), np.uint8)


def in_grey(picture: U8) -> U8:
    """(H, W): a (H, W, 3) BGR picture in grey."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)


def brightness(picture: U8) -> float:
    """Median level of a (H, W) picture, or of all channels of a (H, W, 3) one, at least 1."""
    sample = np.ascontiguousarray(picture[::SPARSE, ::SPARSE]).reshape(1, -1)
    below = cv2.calcHist([sample], [0], None, [256], [0, 256]).cumsum()
    middle = np.searchsorted(below, ((sample.size - 1) // 2, sample.size // 2), side="right")
    return max(1.0, float(middle.mean()))
