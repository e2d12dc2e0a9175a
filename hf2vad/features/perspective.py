"""How tall a box is expected to be, by the image row it stands on: a straight line, as flat ground has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import F32, F64

LEAST = 0.1
"""Smallest expected height, as a share of the mean one: the line may cross zero above the horizon."""


@dataclass(frozen=True, kw_only=True)
class Perspective:
    """Expected height = `intercept` + `slope` · row of the lower edge, in pixels."""

    intercept: float
    slope: float
    mean: float
    """Expected height averaged over the training boxes, in pixels."""

    def __post_init__(self) -> None:
        values = (self.intercept, self.slope, self.mean)
        if not all(map(math.isfinite, values)) or self.mean <= 0:
            raise BundleError(f"perspective: not a line with a positive mean: {values}")

    def heights(self, boxes: F32) -> F64:
        """(B,) expected heights for (B, 4) boxes, as shares of the mean expected height."""
        expected = self.intercept + self.slope * boxes[:, 3].astype(np.float64)
        return np.asarray(np.maximum(expected / self.mean, LEAST), np.float64)
