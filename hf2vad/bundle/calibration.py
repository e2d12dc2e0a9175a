"""Distributions of features over training footage, for all cameras or for one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hf2vad.errors import BundleError
from hf2vad.features.settings import FEATURES
from hf2vad.features.tail import Tail

ALWAYS_WRITTEN = ("flow", "frame", "speed", "motion")
"""Features whose moments are in every bundle.json, 0 and 1 where they were not measured, as the first releases wrote
them: ids of bundles are hashes of it. Others are there where they were measured."""
FIGURES = ("threshold", "low", "cubes", "frames")


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a feature over training cubes: μ and σ of Eq. 9."""

    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Distributions of normal features, for all cameras together or for one."""

    moments: Mapping[str, Moments] = field(default_factory=dict)
    """Mean and deviation of each feature that was measured, in the unit that it is fused in."""
    tails: Mapping[str, Tail] = field(default_factory=dict)
    """`fusion.rule = surprise`: the distribution of each feature with a weight; else empty."""
    total: Tail | None = None
    """`fusion.rule = surprise`: the distribution of the weighted sums; else None."""
    threshold: float
    """99.9th percentile of smoothed training frame scores: where an event starts by default."""
    low: float
    """99th percentile: how far down it extends."""
    cubes: int
    """Training cubes."""
    frames: int
    """Training frames with full context."""

    def __post_init__(self) -> None:
        for name, value in self._figures().items():
            if not math.isfinite(value):
                raise BundleError(f"calibration.{name} is {value}, not a finite number")
        deviations = tuple(found.std for found in self.moments.values())
        if min(deviations, default=1.0) <= 0:
            raise BundleError(f"calibration: deviations must be positive, got {deviations}")

    def to_json(self) -> dict[str, Any]:
        """Values for bundle.json: flat `<feature>_mean`, `<feature>_std`, percentiles, and tails if the score is by
        surprise."""
        plain: dict[str, Any] = self._figures()
        if self.total is not None:
            plain["tails"] = {name: tail.to_json() for name, tail in self.tails.items()}
            plain["total"] = self.total.to_json()
        return plain

    def _figures(self) -> dict[str, float]:
        written = dict.fromkeys(ALWAYS_WRITTEN, Moments()) | dict(self.moments)
        plain = {
            f"{name}_{which}": getattr(found, which) for name, found in written.items() for which in ("mean", "std")
        }
        return plain | {name: getattr(self, name) for name in FIGURES}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError or TypeError for what it cannot have written."""
        rest = dict(values)
        figures = {name: rest.pop(name) for name in FIGURES}
        tails = {name: Tail.from_json(found) for name, found in rest.pop("tails", {}).items()}
        total = Tail.from_json(rest.pop("total")) if "total" in rest else None
        measured = [name for name in FEATURES if f"{name}_mean" in rest]
        moments = {name: Moments(rest.pop(f"{name}_mean"), rest.pop(f"{name}_std")) for name in measured}
        if rest:
            raise TypeError(f"calibration has unknown keys: {', '.join(rest)}")
        return cls(moments=moments, tails=tails, total=total, **figures)
