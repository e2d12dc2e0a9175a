"""Dense optical flow between neighbouring frames (Dense Inverse Search, Kroeger et al. 2016)."""

from __future__ import annotations

import numpy as np

from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import FlowConfig
from hf2vad.errors import VideoError
from hf2vad.schema import F32, U8

LEAST_SIDE = 32
"""Pixels that frames are enlarged to on each side at least: DIS needs a few of its patches."""
LARGEST_ENLARGEMENT = 8.0
"""Factor beyond which frames are too small to have flow, unless `flow.scale` itself is larger."""

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class FlowEstimator:
    """Optical flow between frames of one size. Holds work buffers: one object serves one thread."""

    def __init__(self, config: FlowConfig, *, width: int, height: int, source: tuple[int, int] | None = None) -> None:
        """Frames are `width` × `height` pixels, scaled from the (width, height) `source`; None: not scaled.

        Raises VideoError for frames with a side below 4 pixels.
        """
        self._size = (width, height)
        scale = max(config.scale, LEAST_SIDE / min(width, height))
        if scale > max(config.scale, LARGEST_ENLARGEMENT):
            raise VideoError(f"frames of {width}×{height} are too small for optical flow; they need 4 pixels a side")
        self._large = (round(width * scale), round(height * scale))
        unit = (source or self._size) if config.units == "source" else self._large
        self._unit = np.array([self._large[0] / unit[0], self._large[1] / unit[1]], np.float32)
        self._dis = cv2.DISOpticalFlow.create(_PRESETS[config.preset])

    def prepare(self, grey: U8) -> U8:
        """A (H, W) grey frame enlarged by `flow.scale`, as `between` takes it."""
        if self._large == self._size:
            return np.ascontiguousarray(grey)
        return np.asarray(cv2.resize(grey, self._large, interpolation=cv2.INTER_LINEAR), np.uint8)

    def between(self, before: U8, after: U8) -> F32:
        """(H, W, 2) float32 flow (dx, dy) of each pixel from `before` to `after`, two frames as `prepare` gives them.

        H and W are those of the frames before they were enlarged; vectors are in pixels of `flow.units`.
        """
        flow = self._dis.calc(before, after, None)  # type: ignore[call-overload]
        if self._large != self._size:
            flow = cv2.resize(flow, self._size, interpolation=cv2.INTER_LINEAR)
        return _divided(np.asarray(flow, np.float32), self._unit)


def _divided(flow: F32, unit: F32) -> F32:
    """(H, W, 2) `flow` with each axis divided in place by its own unit.

    One axis at a time: NumPy is slow where the innermost axis has two elements.
    """
    if unit[0] == unit[1]:
        if unit[0] != 1:
            flow /= unit[0]
        return flow
    flow[..., 0] /= unit[0]
    flow[..., 1] /= unit[1]
    return flow
