"""The size that a video's frames are worked on at, and boxes in pixels of either size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import WorkingConfig
from hf2vad.schema import F32
from hf2vad.video.steady import Motion


@dataclass(frozen=True, eq=False)
class Working:
    """The two sizes of a video's frames, and where one of them lies."""

    source: tuple[int, int]
    """(width, height) as coded."""
    size: tuple[int, int]
    """(width, height) at which flow, boxes and crops are computed."""
    motion: Motion | None = None
    """Motion, in working pixels, from the background that the frame was laid on to the frame as it was; None: it was
    not moved."""

    @classmethod
    def of(cls, config: WorkingConfig, width: int, height: int) -> Working:
        """The sizes of frames that are coded in `width` × `height` pixels."""
        return cls((width, height), config.size(width, height))

    def to_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in working pixels as boxes in source pixels."""
        return _scaled(self._moved(boxes, self.motion), self.size, self.source)

    def from_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in source pixels as boxes in working pixels."""
        back = None if self.motion is None else np.asarray(cv2.invertAffineTransform(self.motion), np.float64)
        return self._moved(_scaled(boxes, self.source, self.size), back)

    def _moved(self, boxes: F32, motion: Motion | None) -> F32:
        """(N, 4) boxes, each moved by `motion` at its middle, but not out of the frame. They keep their size."""
        if motion is None or not len(boxes):
            return boxes
        corners = boxes.astype(np.float64).reshape(-1, 2, 2)
        middles = corners.mean(axis=1)
        upper = corners[:, 0] + middles @ motion[:, :2].T + motion[:, 2] - middles
        sides = corners[:, 1] - corners[:, 0]
        upper = np.clip(upper, 0, np.maximum(self.size - sides, 0))
        return np.concatenate([upper, upper + sides], axis=1).astype(np.float32)


def _scaled(boxes: F32, old: tuple[int, int], new: tuple[int, int]) -> F32:
    """(N, 4) boxes in pixels of the size `old` as boxes in pixels of the size `new`."""
    if old == new:
        return boxes
    # Multiplied before divided: what is a whole pixel in both sizes comes out whole.
    return (boxes.astype(np.float64) * (*new, *new) / (*old, *old)).astype(np.float32)
