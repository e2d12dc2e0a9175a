"""The fusion: from the features of cubes to their scores (paper §3.3, Eq. 9). Nothing else adds features up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.calibration import Calibration
from hf2vad.bundle.settings import BundleSettings
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.schema import F32, F64

FeatureValues = Mapping[str, F32]
"""(B,) float32 for each measured feature of B cubes, by name: 0 is no evidence, larger is less normal."""


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

    @classmethod
    def eq9(cls, fusion: FusionConfig, calibration: Calibration, perspective: Perspective | None = None) -> Self:
        """Eq. 9 with these weights, means and deviations."""
        scales = {name: ZScore(found.mean, found.std) for name, found in calibration.moments.items()}
        return cls(fusion.weights, scales, perspective if fusion.perspective else None)

    @classmethod
    def of(cls, settings: BundleSettings, path: str) -> Self:
        """The scorer of a bundle for the camera that a video's path in its archive names."""
        return cls.eq9(settings.fusion, settings.calibration_of(path), settings.perspective)

    @property
    def empty(self) -> float:
        """The score of a cube without error that does not move: what a frame without a cube gets."""
        return float(self.score({name: np.zeros(1, np.float32) for name in self.weights})[0])

    def terms(self, values: FeatureValues) -> dict[str, F64]:
        """(B,) float64 for each feature with a weight: what it adds to the score."""
        return {name: self.scales[name].term(values[name], weight) for name, weight in self.weights.items()}

    def score(self, values: FeatureValues) -> F64:
        """(B,) float64: the sum of the terms. Raises KeyError where a feature with a weight was not measured."""
        score = np.zeros(len(next(iter(values.values()))), np.float64)
        for term in self.terms(values).values():
            score += term
        return score

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


def frame_scores(scores: F64, frame: npt.NDArray[np.integer], frames: int, *, empty: float) -> F64:
    """(frames,): the highest of the (B,) scores of each frame's cubes, `empty` for a frame without one.

    frame: (B,) index of each cube's frame.
    """
    highest = np.full(frames, -np.inf)
    np.maximum.at(highest, frame, scores)
    highest[np.isneginf(highest)] = empty
    return highest
