"""Boxes of what is not background: whole objects, moving or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.detectors.detector import NO_BOXES, Detections, Detector, FrameContext, Resources, box_order
from hf2vad.cubes.detectors.ground import Ground, smooth
from hf2vad.cubes.detectors.motion import grown
from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32, I32, U8

GROW = 2
"""Pixels added on each side of a box, and of an earlier detector's box before what is in it is ignored."""
EDGE = 3
"""Width of an outline, in pixels, and distance from the picture's edge up to which nothing counts as outline."""
STEEPEST = 0.95
"""Quantile of the steepness in a component that tells whether it has sharp edges anywhere."""
LONGEST = 10
"""Boxes whose longer side is at least so many times the shorter one are dropped."""

Rect = Sequence[int]
"""x, y, width, height, in pixels."""
Contour = npt.NDArray[np.integer[Any] | np.floating[Any]]
"""(N, 1, 2) points, as OpenCV's stubs type them."""


class ForegroundDetector(Detector):
    """Boxes of connected foreground outside the boxes of the detectors before it.

    Someone who stands still is found as long as the background does not show them: for half of the ten minutes that it
    is made of, or half of a shorter video.
    """

    Settings: ClassVar[type] = ForegroundConfig

    def __init__(self, settings: ForegroundConfig, resources: Resources) -> None:
        self._settings = settings
        self._ground: Ground | None = None

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """Boxes of the foreground of `frame`, sorted by y1, x1, y2, x2.

        None where the frame has no background, or shows another place.
        """
        if frame.background is None or frame.background.shape != frame.image.shape:
            return Detections(NO_BOXES)
        settings = self._settings
        height, width = frame.image.shape[:2]
        if self._ground is None or self._ground.background is not frame.background:
            self._ground = Ground(frame.background)
        gain, image = self._ground.gain(frame.image), smooth(frame.image)
        ground = self._ground.lit(gain)
        mask = foreground(image, ground, settings.threshold)
        few = 0 < cv2.countNonZero(mask) <= settings.most * mask.size
        if not few or not self._ground.shown_in(image, gain):
            return Detections(NO_BOXES)
        for x1, y1, x2, y2 in grown(earlier, GROW, width, height):
            mask[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))] = 0
        corner, part = _extent(mask, margin=settings.close)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (settings.close, settings.close))
        closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, kernel)
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=corner)
        boxes = [
            (x, y, x + w, y + h)
            for contour in contours
            if cv2.contourArea(contour) > settings.min_area and self._is_there(contour, image, ground)
            for x, y, w, h in self._objects(contour, mask)
            if max(w, h) < LONGEST * min(w, h)
        ]
        around = grown(np.array(boxes, np.float32).reshape(-1, 4), GROW, width, height)
        return Detections(around[box_order(around)])

    def _is_there(self, contour: Contour, image: U8, ground: U8) -> bool:
        """True if a component of foreground is something in the picture: not what has gone, not light or shadow."""
        outline, sharpness = self._settings.outline, self._settings.sharpness
        if outline and outlined(contour, image, ground) < outline:
            return False
        return not sharpness or sharp(contour, image, ground) >= sharpness

    def _objects(self, contour: Contour, mask: U8) -> Iterator[Rect]:
        """The rectangles (x, y, width, height) of the parts that a component of foreground is cut into, from left to
        right.

        Its upper contour is that of `mask`, where gaps are not closed: people side by side are apart there.
        """
        whole = x, y, width, height = cv2.boundingRect(contour)
        if self._settings.valley == 1:
            yield whole
            return
        inside = np.zeros((height, width), np.uint8)
        cv2.drawContours(inside, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
        inside &= mask[y : y + height, x : x + width]
        heights = np.where(inside.any(axis=0), height - inside.argmax(axis=0), 0).tolist()
        cuts = [0, *valleys(heights, self._settings.valley), width]
        cuts = without_small(cuts, inside.sum(axis=0, dtype=np.int32), self._settings.min_area)
        if len(cuts) == 2:
            yield whole
            return
        for left, right in pairwise(cuts):
            part_x, part_y, part_width, part_height = cv2.boundingRect(inside[:, left:right])
            yield x + left + part_x, y + part_y, part_width, part_height


def foreground(image: U8, ground: U8, threshold: int) -> U8:
    """(H, W), 1 where `image` differs from `ground` by more than `threshold` in some channel, 0 elsewhere.

    Both are (H, W, 3) BGR, smoothed.
    """
    difference = np.asarray(cv2.absdiff(image, ground), np.uint8)
    mask = np.zeros(difference.shape[:2], np.uint8)
    rows = np.flatnonzero(difference.reshape(len(mask), -1).max(axis=1) > threshold)
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        blue, green, red = cv2.split(difference[part])
        mask[part] = np.asarray(cv2.max(cv2.max(blue, green), red), np.uint8) > threshold
    return mask


def outlined(contour: Contour, image: U8, ground: U8) -> float:
    """Contrast along the outline of a component of foreground in `image`, as a share of that in `ground`: of something
    there it is above 1, of something that the background shows and that has gone well below.

    Both are (H, W, 3) BGR, smoothed. 1 where the component reaches the picture's edges all around.
    """
    rows, columns, band = _outline(contour, image.shape)
    now, before = (cv2.mean(_steepness(picture[rows, columns]), band)[0] for picture in (image, ground))
    return now / before if before else 1.0


def sharp(contour: Contour, image: U8, ground: U8) -> float:
    """How steep the difference of `image` to `ground` is in a component of foreground, at its steepest twentieth and as
    a share of the mean difference: about 3 for a step from one pixel to the next, less than 1 for light and shadow.

    Both are (H, W, 3) BGR, smoothed. The texture of the ground is in both, and not in their difference.
    """
    rows, columns, band = _outline(contour, image.shape)
    difference = image[rows, columns].astype(np.float32) - ground[rows, columns]
    inside = np.zeros_like(band)
    cv2.drawContours(inside, [contour], -1, 1, cv2.FILLED, offset=(-columns.start, -rows.start))
    mean = cv2.mean(_lengths(np.square(difference)), inside)[0]
    return float(np.quantile(_steepness(difference)[(inside | band) > 0], STEEPEST)) / mean


def _outline(contour: Contour, shape: Sequence[int]) -> tuple[slice, slice, U8]:
    """Rows and columns around a component, and in these 1 where its outline is, which the picture's edge is no part
    of. shape: that of the picture."""
    height, width = shape[:2]
    x, y, across, down = cv2.boundingRect(contour)
    x1, y1, x2, y2 = max(0, x - EDGE), max(0, y - EDGE), min(width, x + across + EDGE), min(height, y + down + EDGE)
    band = np.zeros((y2 - y1, x2 - x1), np.uint8)
    cv2.drawContours(band, [contour], -1, 1, EDGE, offset=(-x1, -y1))
    framed = np.zeros_like(band)
    framed[max(0, EDGE - y1) : height - EDGE - y1, max(0, EDGE - x1) : width - EDGE - x1] = 1
    return slice(y1, y2), slice(x1, x2), band & framed


def _steepness(picture: U8 | F32) -> F32:
    """(H, W): length of the gradient of (H, W, 3), over all three channels."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    return _lengths(np.square(across) + np.square(down))


def _lengths(squares: npt.NDArray[Any]) -> F32:
    """(H, W): square root of the sum over channels of (H, W, 3) squares."""
    return np.asarray(cv2.sqrt(cv2.transform(squares, np.ones((1, 3), np.float32))), np.float32)


def _extent(mask: U8, margin: int) -> tuple[tuple[int, int], U8]:
    """The rectangle around the ones in a (H, W) `mask` and `margin` pixels more: its upper left corner, and the part of
    the mask inside it."""
    height, width = mask.shape
    x, y, across, down = cv2.boundingRect(mask)
    x1, y1, x2, y2 = (
        max(0, x - margin),
        max(0, y - margin),
        min(width, x + across + margin),
        min(height, y + down + margin),
    )
    return (x1, y1), mask[y1:y2, x1:x2]


def valleys(heights: Sequence[int], depth: float) -> list[int]:
    """Columns in the middle of the valleys between heads, given the height of an object's upper contour in each column.

    A valley counts where it is deeper than `depth` of the height of each head beside it: the shoulder of a person is
    no head, and neither are the two feet, which the contour passes above.
    """
    middles: list[int] = []
    head = lowest = heights[0]
    first = last = 0
    falling = False
    for column, height in enumerate(heights):
        if not falling:
            head = max(head, height)
            if height < (1 - depth) * head:
                falling, lowest, first, last = True, height, column, column
        elif height < lowest:
            lowest, first, last = height, column, column
        elif height == lowest:
            last = column
        elif lowest < (1 - depth) * height:
            middles.append((first + last + 1) // 2)
            falling, head = False, height
    return middles


def without_small(cuts: Sequence[int], pixels: I32, least: float) -> list[int]:
    """`cuts` between parts of more than `least` pixels each; a smaller part goes to the smaller one beside it.

    cuts: first columns of the parts, and the column after the last one. pixels: (columns,) of the object.
    """
    kept = list(cuts)
    while len(kept) > 2:
        sizes = np.add.reduceat(pixels, kept[:-1])
        smallest = int(sizes.argmin())
        if sizes[smallest] > least:
            break
        to_left = smallest > 0 and (smallest == len(sizes) - 1 or sizes[smallest - 1] <= sizes[smallest + 1])
        del kept[smallest if to_left else smallest + 1]
    return kept
