"""Surprise: how rare a value is among normal cubes, the scale on which features can be added.

surprise = −log10 P(a normal cube has this value or a larger one): 2 is one cube in a hundred, 4 one in ten thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import F32, F64

START = 0.99
"""Quantile of the training values at which the fitted tail begins; below it their own distribution holds."""
EXCESSES = 10
"""Values that a tail is fitted on, at least: with fewer than 1,000 training cubes it begins lower."""
CENSORED = 0.005
"""Share of training cubes, the most unusual ones, that count as above the tail's other values, but not by how much:
footage to train on is never clean."""
LEVELS = 33
"""Points of the distribution that are kept."""
SHRINK = 5000
"""Training cubes at which a camera's own footage and all cameras' count alike in what is usual for it. One person who
walks by is some hundred cubes, so these are few: a thousand said of a camera what a handful of people did."""


@dataclass(frozen=True, kw_only=True)
class Tail:
    """Distribution of a feature's values over training cubes: empirical, then exponential."""

    values: tuple[float, ...]
    """Increasing values; the last is where the exponential tail begins."""
    surprises: tuple[float, ...]
    """Their surprises, the first 0."""
    scale: float
    """Mean excess of the tail over its beginning, above 0."""
    cubes: int
    """Training cubes behind it."""

    def __post_init__(self) -> None:
        increasing = all(np.all(np.diff(found) > 0) for found in (self.values, self.surprises))
        if not self.values or len(self.values) != len(self.surprises) or not increasing:
            raise BundleError("tail: values and surprises must be as many and increase")
        if not math.isfinite(self.scale) or self.scale <= 0 or not np.isfinite(self.values).all():
            raise BundleError(f"tail: not finite, or its scale {self.scale} is not positive")

    @property
    def supported(self) -> float:
        """The surprise up to which training cubes support it: one cube among all of them. Above, it is extrapolated."""
        return math.log10(max(1, self.cubes))

    def surprise(self, values: F32 | F64) -> F64:
        """(B,) float64 for (B,) values: finite, never negative, and never smaller for a larger value."""
        exact = values.astype(np.float64)
        body = np.interp(exact, self.values, self.surprises)
        excess = np.maximum(exact - self.values[-1], 0.0)
        return np.asarray(body + excess / (self.scale * math.log(10)), np.float64)

    def values_at(self, surprises: F64) -> F64:
        """(B,) float64: the values with these (B,) surprises, 0 or more. The inverse of `surprise`."""
        body = np.interp(surprises, self.surprises, self.values)
        beyond = np.maximum(surprises - self.surprises[-1], 0.0)
        return np.asarray(body + beyond * self.scale * math.log(10), np.float64)

    def to_json(self) -> dict[str, Any]:
        """Values for bundle.json."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError or TypeError for what it cannot have written."""
        rest = dict(values)
        return cls(values=tuple(rest.pop("values")), surprises=tuple(rest.pop("surprises")), **rest)


@dataclass(frozen=True)
class CameraTail:
    """Distribution of a feature for one camera, shrunk towards that of all cameras."""

    own: Tail
    overall: Tail

    @property
    def share(self) -> float:
        """Weight of the camera's own distribution: n / (n + `SHRINK`) for n cubes."""
        return own_share(self.own.cubes)

    @property
    def supported(self) -> float:
        """The surprise up to which training cubes support it; above, it is extrapolated."""
        return math.log10(max(1.0, self.share * self.own.cubes + (1 - self.share) * self.overall.cubes))

    def surprise(self, values: F32 | F64) -> F64:
        """(B,) float64 for (B,) values: of the mixture of both distributions."""
        own = math.log10(self.share) - self.own.surprise(values)
        overall = math.log10(1 - self.share) - self.overall.surprise(values)
        return np.asarray(np.maximum(-np.logaddexp2(own / _LOG, overall / _LOG) * _LOG, 0.0), np.float64)


def own_share(cubes: int) -> float:
    """The weight of a camera's own footage with so many training cubes, above 0 and below 1."""
    return cubes / (cubes + SHRINK)


_LOG = math.log10(2)


def fit_tail(values: F32 | F64) -> Tail:
    """The tail of (B,) training values, at least one.

    Features with exemplars measure training cubes against those of other clips; otherwise the tail is far too short.
    """
    ordered = np.sort(values.astype(np.float64))
    count = len(ordered)
    start = min(START, max(0.0, 1 - EXCESSES / count))
    levels = np.linspace(0.0, -math.log10(1 - start), LEVELS)
    quantiles = np.quantile(ordered, 1 - 10.0**-levels)
    knots, first = np.unique(quantiles, return_index=True)
    begin = float(knots[-1])
    excess = ordered[ordered > begin] - begin
    censored = round(CENSORED * count)
    exact = excess[: max(1, len(excess) - censored)]
    cut = float(exact[-1]) if len(exact) else 0.0
    # Maximum likelihood of an exponential of which the largest excesses are known to be above `cut` alone.
    mean = (float(exact.sum()) + cut * (len(excess) - len(exact))) / max(1, len(exact))
    narrowest = max(1e-6, 0.01 * abs(begin))
    return Tail(
        values=tuple(map(float, knots)),
        surprises=tuple(float(levels[i]) for i in first),
        scale=max(mean, narrowest),
        cubes=count,
    )


def counted_tail(values: F32 | F64) -> Tail:
    """The distribution of (B,) training values, at least one, that are −log10 of counted shares, or sums of these.

    No exponential is fitted: where most values are equal, it would make any other one in millions. With n values none
    is rarer than 1 in n + 1, which is where a value of log10(n + 1) lies, unless training values are as large.
    """
    knots, times = np.unique(values.astype(np.float64), return_counts=True)
    as_large = times[::-1].cumsum()[::-1]
    rarest = math.log10(len(values) + 1)
    surprises = np.log10((len(values) + 1) / (as_large + 1))  # of the lowest value exactly 0
    kept = np.unique(np.searchsorted(surprises, np.linspace(0.0, surprises[-1], LEVELS)))
    beyond = (rarest,) if knots[-1] < rarest else ()
    return Tail(
        values=(*map(float, knots[kept]), *beyond),
        surprises=(*map(float, surprises[kept]), *beyond),
        scale=1 / math.log(10),
        cubes=len(values),
    )
