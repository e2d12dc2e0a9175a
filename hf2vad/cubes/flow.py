"""Dense optical flow between neighbouring frames (Dense Inverse Search, Kroeger et al. 2016)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hf2vad.cubes.cut import pixel_boxes
from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import FlowConfig
from hf2vad.errors import VideoError
from hf2vad.schema import F32, U8

LEAST_SIDE = 32
"""Pixels that frames are enlarged to on each side at least: DIS needs a few of its patches."""
LARGEST_ENLARGEMENT = 8.0
"""Factor beyond which frames are too small to have flow, unless `flow.scale` itself is larger."""

GRID = 32
"""Pixels between the lines that regions of flow begin and end on."""
JOIN = 1.15
"""Regions are joined when that makes their area at most so many times as large."""
MOST_OF_FRAME = 0.8
"""Share of the frame above which flow is computed of all of it."""

Region = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, the end exclusive."""

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "fast_half": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class FlowEstimator:
    """Optical flow between frames of one size. Holds work buffers: one object serves one thread."""

    def __init__(self, config: FlowConfig, *, width: int, height: int, source: tuple[int, int] | None = None) -> None:
        """Frames are `width` × `height` pixels, scaled from the (width, height) `source`; None: not scaled.

        Raises VideoError for frames with a side below 4 pixels.
        """
        self.size = (width, height)
        """Width and height of the frames."""
        scale = max(config.scale, LEAST_SIDE / min(width, height))
        if scale > max(config.scale, LARGEST_ENLARGEMENT):
            raise VideoError(f"frames of {width}×{height} are too small for optical flow; they need 4 pixels a side")
        self._large = (round(width * scale), round(height * scale))
        unit = (source or self.size) if config.units == "source" else self._large
        self._unit = np.array([self._large[0] / unit[0], self._large[1] / unit[1]], np.float32)
        across, down = self._unit.tolist()
        self.per_frame = across * width / self._large[0], down * height / self._large[1]
        """Factors, across and down, that make of a vector of the flow pixels of the frames."""
        self._scale = scale
        self._dis = cv2.DISOpticalFlow.create(_PRESETS[config.preset])
        self._finest = 1 if config.preset == "fast_half" else self._dis.getFinestScale()
        """Power of 2 by which the finest flow is smaller than the picture that it is computed of."""

    def prepare(self, grey: U8) -> U8:
        """A (H, W) grey frame enlarged by `flow.scale`, as `between` takes it."""
        return np.asarray(_resized(grey, self._large), np.uint8)

    def between(self, before: U8, after: U8) -> F32:
        """(H, W, 2) float32 flow (dx, dy) of each pixel from `before` to `after`, two frames as `prepare` gives them.

        H and W are those of the frames before they were enlarged; vectors are in pixels of `flow.units`.
        """
        flow = np.asarray(_resized(self._vectors(before, after), self.size), np.float32)
        self._divide(flow, out=flow)
        return flow

    def around(self, before: U8, after: U8, regions: Sequence[Region]) -> F32:
        """(H, W, 2) float32: as `between`, of (H, W) grey frames, but in `regions` alone, and 0 elsewhere."""
        width, height = self.size
        flow = np.zeros((height, width, 2), np.float32)
        for x1, y1, x2, y2 in regions:
            large = (round((x2 - x1) * self._scale), round((y2 - y1) * self._scale))
            first, second = (_resized(grey[y1:y2, x1:x2], large) for grey in (before, after))
            vectors = _resized(self._vectors(first, second), (x2 - x1, y2 - y1))
            self._divide(vectors, out=flow[y1:y2, x1:x2])
        return flow

    def _divide(self, flow: cv2.typing.MatLike, *, out: F32) -> None:
        """Write (H, W, 2) `flow` into `out`, each axis divided by its own unit.

        One axis at a time: NumPy is slow where the innermost axis has two elements.
        """
        across, down = self._unit
        if across == down:
            np.divide(flow, across, out=out)
        else:
            np.divide(flow[..., 0], across, out=out[..., 0])
            np.divide(flow[..., 1], down, out=out[..., 1])

    def _vectors(self, before: cv2.typing.MatLike, after: cv2.typing.MatLike) -> Any:
        # DIS lowers its finest scale for pictures that are too small for it, and keeps it for all that follow.
        self._dis.setFinestScale(self._finest)
        return self._dis.calc(before, after, None)  # type: ignore[call-overload]


def moving_parts(boxes: F32, before: U8, after: U8, threshold: float) -> F32:
    """(M, 4): for each of (N, 4) `boxes` in which something moves, the smallest rectangle that holds it.

    It is the pixels of the box that differ between two (H, W) grey frames by more than `threshold`, without those that
    belong to no square of 2×2 such pixels, which are noise.
    """
    height, width = before.shape
    whole = pixel_boxes(boxes, width, height)
    whole = whole[(whole[:, 2:] > whole[:, :2]).all(axis=1)]
    if not len(whole):
        return np.empty((0, 4), np.float32)
    # One pixel more on each side, so that what a box holds does not depend on the boxes beside it.
    left, top = np.maximum(whole[:, :2].min(axis=0) - 1, 0).tolist()
    right, bottom = (whole[:, 2:].max(axis=0) + 1).tolist()
    difference = cv2.absdiff(before[top:bottom, left:right], after[top:bottom, left:right])
    moving = _opened(cv2.threshold(difference, threshold, 1, cv2.THRESH_BINARY)[1])
    parts = []
    for x1, y1, x2, y2 in whole.tolist():
        x, y, across, down = cv2.boundingRect(moving[y1 - top : y2 - top, x1 - left : x2 - left])
        if across:
            parts.append((x1 + x, y1 + y, x1 + x + across, y1 + y + down))
    return np.array(parts, np.float32).reshape(-1, 4)


def _opened(mask: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """(H, W) `mask` without what is in no square of 2×2 pixels."""
    # OpenCV's own opening by an even kernel shifts what it keeps by a pixel, and keeps single pixels at the border.
    square = np.ones((2, 2), np.uint8)
    squares = cv2.erode(mask, square, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(squares, square, anchor=(1, 1))


def flow_regions(boxes: F32, size: tuple[int, int], margin: int) -> list[Region]:
    """The regions of a frame of `size` (width, height) that hold (N, 4) `boxes` with `margin` pixels around each.

    Corners lie on a grid of GRID pixels, where flow differs least from that of the whole frame. Regions are joined
    where that adds little, and are the whole frame where they would be most of it. They depend on the set of boxes
    alone. No two are equal; they may overlap.
    """
    width, height = size
    on_grid: set[Region] = set()
    for x1, y1, x2, y2 in boxes.tolist():
        left, right = _on_grid(x1 - margin, x2 + margin, width)
        top, bottom = _on_grid(y1 - margin, y2 + margin, height)
        on_grid.add((left, top, right, bottom))
    regions = _joined(on_grid)
    if sum(map(_area, regions)) > MOST_OF_FRAME * width * height:
        return [(0, 0, width, height)]
    return regions


def _on_grid(start: float, stop: float, side: int) -> tuple[int, int]:
    """The span of the grid that holds `start` … `stop`, in a picture with `side` pixels: a cell at least."""
    end = min(max(math.ceil(stop / GRID) * GRID, GRID), side)
    return max(min(math.floor(start / GRID) * GRID, end - GRID), 0), end


def _joined(regions: Iterable[Region]) -> list[Region]:
    """`regions`, two of them joined as long as what holds both is at most JOIN times as large as they are; in order.

    The two that grow least come first. In plain Python: there are too few for NumPy to pay.
    """
    left: set[Region] = set()
    worth: list[tuple[float, Region, Region]] = []

    def add(new: Region) -> None:
        for other in left - {new}:
            if (growth := _growth(new, other)) <= JOIN:
                heapq.heappush(worth, (growth, min(new, other), max(new, other)))
        left.add(new)

    for region in regions:
        add(region)
    while worth:
        _, one, other = heapq.heappop(worth)
        if one in left and other in left:
            left -= {one, other}
            add(_both(one, other))
    return sorted(left)


def _growth(one: Region, other: Region) -> float:
    """Area of what holds two regions, as a share of theirs."""
    # Without calls of min and max, which would take most of the time.
    a1, b1, a2, b2 = one
    x1, y1, x2, y2 = other
    width = (a2 if a2 > x2 else x2) - (a1 if a1 < x1 else x1)
    height = (b2 if b2 > y2 else y2) - (b1 if b1 < y1 else y1)
    return width * height / ((a2 - a1) * (b2 - b1) + (x2 - x1) * (y2 - y1))


def _both(one: Region, other: Region) -> Region:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])


def _resized(picture: cv2.typing.MatLike, size: tuple[int, int]) -> cv2.typing.MatLike:
    """A picture or a flow of `size` (width, height), without gaps between its rows."""
    if picture.shape[1::-1] == size:
        return np.ascontiguousarray(picture)
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
