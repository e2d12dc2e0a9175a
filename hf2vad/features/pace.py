"""Speed by position in the picture: the unit of the motion features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.features.perspective import Perspective
from hf2vad.schema import F32, F64

Unit = Literal["pixels", "box_heights", "expected_heights", "expected_speed"]
"""Unit of length: pixels, the box's own height, the expected height at its image row, or the expected speed there."""

QUANTILE = 0.9
"""Quantile of the training cubes' speeds that is expected: the lower ones are of flow noise and of what stands."""
BANDS = 12
"""Bands of image rows, each with as many training cubes as the others, that have an expected speed of their own."""
FEWEST = 50
"""Training cubes of a band, at least: with fewer in all there are fewer bands."""
LEAST = 0.1
"""Smallest expected speed, as a share of the mean one."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Expected speeds by the row of a box's centre, as shares of their mean over training cubes.

    The centre, not the foot: motion boxes are often parts of an object, and a part's foot is no foot. Bands of rows and
    not one line: lanes of cars lie between footways, and what is fast on a footway is slow there.
    """

    rows: tuple[float, ...]
    """Increasing rows, in pixels; the first and the last speed hold beyond them."""
    expected: tuple[float, ...]
    """Expected speed at each of them."""

    def speeds(self, boxes: F32) -> F64:
        """(B,) expected speeds for (B, 4) boxes, as shares of the mean expected speed."""
        return np.asarray(np.maximum(np.interp(_centre_rows(boxes), self.rows, self.expected), LEAST), np.float64)

    def arrays(self) -> dict[str, F32]:
        """As the bundle keeps it: `pace_rows` (2, bands), rows and speeds."""
        return {"pace_rows": np.array([self.rows, self.expected], np.float32)}


@dataclass(frozen=True, kw_only=True)
class PaceLine:
    """Expected speed = `intercept` + `slope` · row of the box's centre, as bundles from before `Pace` have it."""

    intercept: float
    slope: float
    top: float
    bottom: float
    """Rows between which most training boxes have their centres, in pixels; beyond them the line is level."""

    def speeds(self, boxes: F32) -> F64:
        """(B,) expected speeds for (B, 4) boxes, as shares of the mean expected speed."""
        rows = np.clip(_centre_rows(boxes), self.top, self.bottom)
        return np.asarray(np.maximum(self.intercept + self.slope * rows, LEAST), np.float64)


def has_pace(arrays: Mapping[str, F32]) -> bool:
    """True if a feature's arrays hold expected speeds."""
    return "pace_rows" in arrays or "pace" in arrays


def read_pace(arrays: Mapping[str, F32]) -> Pace | PaceLine:
    """The expected speeds in a feature's arrays. Raises BundleError where they are not there or cannot be used."""
    bands = arrays.get("pace_rows")
    if bands is None:
        line = arrays.get("pace", np.empty(0, np.float32))
        if line.shape != (4,) or not np.isfinite(line).all():
            raise BundleError("expected speeds: not four finite numbers")
        intercept, slope, top, bottom = map(float, line)
        return PaceLine(intercept=intercept, slope=slope, top=top, bottom=bottom)
    if bands.ndim != 2 or bands.shape[0] != 2 or not bands.size or not np.isfinite(bands).all():
        raise BundleError(f"expected speeds: not finite rows and speeds, of shape {bands.shape}")
    if (np.diff(bands[0]) <= 0).any():
        raise BundleError("expected speeds: rows do not increase")
    rows, expected = bands.tolist()
    return Pace(rows=tuple(rows), expected=tuple(expected))


def fit_pace(boxes: F32, speeds: F32) -> Pace:
    """The 90th percentile of (B,) speeds in (B, 4) boxes, in bands of the rows of their centres.

    A band in which next to nothing moves, because a parked car has a box in every frame there, has that of what does
    move. The result is level where the boxes say nothing of perspective: few of them, or all on one row.
    """
    rows = _centre_rows(boxes)
    bands = np.array_split(np.argsort(rows, kind="stable"), max(1, min(BANDS, len(rows) // FEWEST)))
    if len(bands) < 2:
        return Pace(rows=(0.0,), expected=(1.0,))
    middles, band_of = np.unique([np.float32(np.median(rows[band])) for band in bands], return_inverse=True)
    cubes = [np.concatenate([bands[i] for i in np.flatnonzero(band_of == number)]) for number in range(len(middles))]
    of_bands = [speeds[own].astype(np.float64) for own in cubes]
    expected = np.array([np.quantile(speed, QUANTILE) for speed in of_bands])
    still = expected < LEAST * np.interp(rows, middles, expected).mean()
    for i in np.flatnonzero(still):
        moving = of_bands[i][of_bands[i] > 0]
        expected[i] = np.quantile(moving, QUANTILE) if len(moving) else 0.0
    mean = float(np.interp(rows, middles, expected).mean())
    if mean <= 0:
        return Pace(rows=(0.0,), expected=(1.0,))
    return Pace(rows=tuple(map(float, middles)), expected=tuple((expected / mean).tolist()))


def lengths(unit: Unit, boxes: F32, arrays: Mapping[str, F32], perspective: Perspective | None) -> F64 | float:
    """(B,) what lengths in pixels are divided by, for (B, 4) boxes: around 1."""
    if unit == "pixels":
        return 1.0
    if unit == "expected_speed":
        return read_pace(arrays).speeds(boxes)
    if perspective is None:
        raise BundleError(f"unit = {unit}, but there is no perspective")
    if unit == "expected_heights":
        return perspective.heights(boxes)
    return np.asarray(np.maximum(boxes[:, 3] - boxes[:, 1], 1.0) / perspective.mean, np.float64)


def _centre_rows(boxes: F32) -> F64:
    return np.asarray((boxes[:, 1] + boxes[:, 3]).astype(np.float64) / 2, np.float64)
