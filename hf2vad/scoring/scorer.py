"""The fusion: from the features of cubes to their scores, by Eq. 9 (paper §3.3) or by surprise. The only one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.calibration import Calibration
from hf2vad.bundle.settings import BundleSettings
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.features.tail import CameraTail, Tail
from hf2vad.schema import F32, F64

FeatureValues = Mapping[str, F32]
"""(B,) float32 for each measured feature of B cubes, by name: 0 is no evidence, larger is less normal."""

Frames = npt.NDArray[np.integer[Any]]
"""(B,): index of each cube's frame."""


class Scale(Protocol):
    """Puts the values of one feature on the scale on which features are added."""

    def term(self, values: F32, weight: float) -> F64:
        """(B,) float64: what the feature adds to the scores of cubes with these (B,) values."""


@dataclass(frozen=True)
class ZScore:
    """Deviations from the mean over training cubes: the scale of Eq. 9."""

    mean: float
    std: float
    """Above 0."""

    def term(self, values: F32, weight: float) -> F64:
        # The weight comes before the division: other orders differ in the last bits, and stored scores are compared.
        return np.asarray(weight * (values.astype(np.float64) - self.mean) / self.std, np.float64)


Rarity = Tail | CameraTail
"""Rarity of a value, among all cameras or for one."""


@dataclass(frozen=True)
class Surprise:
    """Surprise of a value above that of nine in ten normal cubes: the scale of `fusion.rule = surprise`."""

    rarity: Rarity
    silent: float
    """Surprise up to which the feature adds nothing."""

    def term(self, values: F32, weight: float) -> F64:
        return weight * np.maximum(self.rarity.surprise(values) - self.silent, 0.0)


@dataclass(frozen=True)
class Scorer:
    """Adds the terms of the features that have a weight.

    Values are in the unit that they are fused in: `in_units` makes it of pixels.
    """

    weights: Mapping[str, float]
    """Above 0, by feature."""
    scales: Mapping[str, Scale]
    """At least of each feature with a weight."""
    perspective: Perspective | None = None
    """Lengths are fused in box heights that it expects; none: in pixels."""
    total: Rarity | None = None
    """The score is how rare a sum of terms is by this distribution; none: the sum itself."""
    norm: float = 1.0
    """Exponent p of the sum (Σ term^p)^(1/p); above 1 terms must not be negative."""
    at_frame: bool = False
    """A frame's score is of the sum of each feature's largest term over its cubes, not of its highest cube."""

    @classmethod
    def eq9(cls, fusion: FusionConfig, calibration: Calibration, perspective: Perspective | None = None) -> Self:
        """Eq. 9 with these weights, means and deviations."""
        scales = {name: ZScore(found.mean, found.std) for name, found in calibration.moments.items()}
        return cls(fusion.weights, scales, perspective if fusion.perspective else None)

    @classmethod
    def of(cls, settings: BundleSettings, path: str) -> Self:
        """The scorer of a bundle for the camera that a video's path in its archive names."""
        own = settings.calibration_of(path)
        if settings.fusion.rule == "eq9":
            return cls.eq9(settings.fusion, own, settings.perspective)
        return cls.surprise(settings.fusion, own, settings.calibration)

    @classmethod
    def surprise(cls, fusion: FusionConfig, own: Calibration, overall: Calibration) -> Self:
        """Score by surprise with the distributions of one camera, `own`, shrunk towards those of all cameras."""

        def rarity(tail: Tail, general: Tail) -> Rarity:
            return tail if own is overall else CameraTail(tail, general)

        scales = {
            name: Surprise(rarity(own.tails[name], overall.tails[name]), fusion.silent) for name in fusion.weights
        }
        total = rarity(own.total, overall.total) if own.total is not None and overall.total is not None else None
        return cls(fusion.weights, scales, total=total, norm=fusion.norm, at_frame=fusion.at == "frame")

    @property
    def empty(self) -> float:
        """The score of a cube without error that does not move: what a frame without a cube gets."""
        return float(self.score({name: np.zeros(1, np.float32) for name in self.weights})[0])

    def terms(self, values: FeatureValues) -> dict[str, F64]:
        """(B,) float64 for each feature with a weight: what it adds to the score."""
        return {name: self.scales[name].term(values[name], weight) for name, weight in self.weights.items()}

    def score(self, values: FeatureValues) -> F64:
        """(B,) float64: the sum of the terms, or how rare it is. Raises KeyError where a feature with a weight was not
        measured."""
        return self._scored(self.sums(values))

    def sums(self, values: FeatureValues) -> F64:
        """(B,) float64: the sum of the terms."""
        return self._sum(self.terms(values), len(next(iter(values.values()))))

    def frame_sums(self, values: FeatureValues, frame: Frames, frames: int) -> F64:
        """(frames,): for each frame the sum of each feature's largest term over its cubes; frame: (B,) their indices.

        A frame without a cube has 0."""
        largest = {name: frame_scores(term, frame, frames, empty=0.0) for name, term in self.terms(values).items()}
        return self._sum(largest, frames)

    def frame_scores(self, values: FeatureValues, frame: Frames, frames: int) -> F64:
        """(frames,): the score of each frame, from the values of its cubes; frame: (B,) index of each cube's frame."""
        if self.at_frame:
            return self._scored(self.frame_sums(values, frame, frames))
        return frame_scores(self.score(values), frame, frames, empty=self.empty)

    def _sum(self, terms: Mapping[str, F64], count: int) -> F64:
        total = np.zeros(count, np.float64)
        for term in terms.values():
            total += term if self.norm == 1 else term**self.norm
        return total if self.norm == 1 else np.asarray(total ** (1 / self.norm), np.float64)

    def _scored(self, sums: F64) -> F64:
        return sums if self.total is None else self.total.surprise(sums)

    def in_units(self, values: FeatureValues, boxes: F32) -> FeatureValues:
        """Values in pixels, of cubes in (B, 4) boxes, in the unit that they are fused in."""
        return values if self.perspective is None else in_heights(values, self.perspective.heights(boxes))


def in_heights(values: FeatureValues, heights: F64) -> FeatureValues:
    """Values in pixels as values in box heights; heights: (B,) shares of the mean expected height."""
    powers = {name: feature_classes()[name].length_power for name in values}
    return {
        name: (found / heights ** powers[name]).astype(np.float32) if powers[name] else found
        for name, found in values.items()
    }


def frame_scores(scores: F64, frame: Frames, frames: int, *, empty: float) -> F64:
    """(frames,): the highest of the (B,) scores of each frame's cubes, `empty` for a frame without one.

    frame: (B,) index of each cube's frame.
    """
    highest = np.full(frames, -np.inf)
    np.maximum.at(highest, frame, scores)
    highest[np.isneginf(highest)] = empty
    return highest
