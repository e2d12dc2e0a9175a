"""The size that a video's frames are worked on at, and boxes in pixels of either size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf2vad.cubes.settings import WorkingConfig
from hf2vad.schema import F32


@dataclass(frozen=True)
class Working:
    """The two sizes of a video's frames."""

    source: tuple[int, int]
    """(width, height) as coded."""
    size: tuple[int, int]
    """(width, height) at which flow, boxes and crops are computed."""

    @classmethod
    def of(cls, config: WorkingConfig, width: int, height: int) -> Working:
        """The sizes of frames that are coded in `width` × `height` pixels."""
        return cls((width, height), config.size(width, height))

    def to_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in working pixels as boxes in source pixels."""
        return _scaled(boxes, self.size, self.source)

    def from_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in source pixels as boxes in working pixels."""
        return _scaled(boxes, self.source, self.size)


def _scaled(boxes: F32, old: tuple[int, int], new: tuple[int, int]) -> F32:
    """(N, 4) boxes in pixels of the size `old` as boxes in pixels of the size `new`."""
    if old == new:
        return boxes
    # Multiplied before divided: what is a whole pixel in both sizes comes out whole.
    return (boxes.astype(np.float64) * (*new, *new) / (*old, *old)).astype(np.float32)
