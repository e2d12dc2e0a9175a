"""Expected box height by the image row of its foot: a straight line, as on flat ground."""

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


def fit_perspective(boxes: F32) -> Perspective:
    """The line through (row of the lower edge, height) of (B, 4) boxes that outliers bend least (Huber's loss).

    It is level where boxes say nothing of perspective: fewer than 10, all on one row, or not taller downwards.
    """
    if not len(boxes):
        return Perspective(intercept=1.0, slope=0.0, mean=1.0)
    heights = (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    rows = boxes[:, 3].astype(np.float64)
    level = Perspective(intercept=float(heights.mean()), slope=0.0, mean=float(heights.mean()))
    spread = rows.std()
    if len(boxes) < 10 or spread < 1e-6:
        return level
    from sklearn.linear_model import HuberRegressor  # seconds and megabytes that only training pays

    line = HuberRegressor(max_iter=1000).fit(((rows - rows.mean()) / spread)[:, None], heights)
    slope = float(line.coef_[0] / spread)
    if slope <= 0:
        return level
    intercept = float(line.intercept_ - slope * rows.mean())
    return Perspective(intercept=intercept, slope=slope, mean=float((intercept + slope * rows).mean()))
