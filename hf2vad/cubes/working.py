"""Boxes between the pixels of the source and those that its frames are worked on in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf2vad.cubes.settings import WorkingConfig
from hf2vad.schema import F32


@dataclass(frozen=True)
class Working:
    """The two sizes of a video's frames, each (width, height)."""

    source: tuple[int, int]
    """As coded."""
    size: tuple[int, int]
    """At which flow, boxes and crops are computed."""

    @classmethod
    def of(cls, config: WorkingConfig, width: int, height: int) -> Working:
        return cls((width, height), config.size(width, height))

    def to_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in working pixels as boxes in source pixels."""
        return _scaled(boxes, self.size, self.source)

    def from_source(self, boxes: F32) -> F32:
        """(N, 4) boxes in source pixels as boxes in working pixels."""
        return _scaled(boxes, self.source, self.size)


def _scaled(boxes: F32, old: tuple[int, int], new: tuple[int, int]) -> F32:
    """Multiplied before it is divided: what is a whole pixel in both sizes comes out whole."""
    if old == new:
        return boxes
    return (boxes.astype(np.float64) * (*new, *new) / (*old, *old)).astype(np.float32)
