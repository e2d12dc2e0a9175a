"""Speed by position in the picture: the unit of the motion features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.features.perspective import Perspective
from hf2vad.schema import F32, F64

Unit = Literal["pixels", "box_heights", "expected_heights", "expected_speed"]
"""Unit of length: pixels, the box's own height, the expected height at its image row, or the expected speed there."""

QUANTILE = 0.9
"""Quantile of the training cubes' speeds that the line follows: the lower ones are of flow noise and of what stands."""
MOST = 4000
"""Cubes that the line is fitted to, at most."""
LEAST = 0.1
"""Smallest expected speed, as a share of the mean one."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Expected speed = `intercept` + `slope` · row of the box's centre, as a share of its mean over training cubes.

    The centre, not the foot: motion boxes are often parts of an object, and a part's foot is no foot.
    """

    intercept: float
    slope: float
    top: float
    bottom: float
    """Rows between which most training boxes have their centres, in pixels; beyond them the line is level."""

    def speeds(self, boxes: F32) -> F64:
        """(B,) expected speeds for (B, 4) boxes, as shares of the mean expected speed."""
        rows = np.clip(_centre_rows(boxes), self.top, self.bottom)
        return np.asarray(np.maximum(self.intercept + self.slope * rows, LEAST), np.float64)

    def arrays(self) -> dict[str, F32]:
        """Arrays for the bundle."""
        return {"pace": np.array([self.intercept, self.slope, self.top, self.bottom], np.float32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, F32]) -> Self:
        """The inverse of `arrays`. Raises BundleError where it is not there or not finite."""
        found = arrays.get("pace", np.empty(0, np.float32))
        if found.shape != (4,) or not np.isfinite(found).all():
            raise BundleError("expected speeds: not four finite numbers")
        intercept, slope, top, bottom = map(float, found)
        return cls(intercept=intercept, slope=slope, top=top, bottom=bottom)


def fit_pace(boxes: F32, speeds: F32, *, seed: int = 0) -> Pace:
    """The line through the 90th percentile of (B,) speeds in (B, 4) boxes, by the row of their centres.

    It is level where they say nothing of perspective: fewer than 10, all on one row, or not faster downwards.
    """
    rows = _centre_rows(boxes)
    top, bottom = map(float, np.quantile(rows, [0.01, 0.99])) if len(rows) else (0.0, 0.0)
    level = Pace(intercept=1.0, slope=0.0, top=top, bottom=bottom)
    if len(rows) < 10 or bottom - top < 1.0:
        return level
    from sklearn.linear_model import QuantileRegressor  # seconds and megabytes that only training pays

    some = np.random.default_rng([seed, 6]).permutation(len(rows))[:MOST]
    height = bottom - top
    line = QuantileRegressor(quantile=QUANTILE, alpha=0.0, solver="highs")
    line.fit(((rows[some] - top) / height)[:, None], speeds[some].astype(np.float64))
    slope = float(line.coef_[0]) / height
    intercept = float(line.intercept_) - slope * top
    mean = float((intercept + slope * np.clip(rows, top, bottom)).mean())
    if slope <= 0 or mean <= 0:
        return level
    return Pace(intercept=intercept / mean, slope=slope / mean, top=top, bottom=bottom)


def lengths(unit: Unit, boxes: F32, arrays: Mapping[str, F32], perspective: Perspective | None) -> F64 | float:
    """(B,) what lengths in pixels are divided by, for (B, 4) boxes: around 1."""
    if unit == "pixels":
        return 1.0
    if unit == "expected_speed":
        return Pace.from_arrays(arrays).speeds(boxes)
    if perspective is None:
        raise BundleError(f"unit = {unit}, but there is no perspective")
    if unit == "expected_heights":
        return perspective.heights(boxes)
    return np.asarray(np.maximum(boxes[:, 3] - boxes[:, 1], 1.0) / perspective.mean, np.float64)


def _centre_rows(boxes: F32) -> F64:
    return np.asarray((boxes[:, 1] + boxes[:, 3]).astype(np.float64) / 2, np.float64)
