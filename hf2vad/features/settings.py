"""Which features there are, and their weights in the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hf2vad.settings import require, with_fields

FEATURES: Mapping[str, str] = {
    "flow": "hf2vad.features.flow:Flow",
    "frame": "hf2vad.features.frame:Frame",
    "speed": "hf2vad.features.speed:Speed",
    "motion": "hf2vad.features.motion:Motion",
}
"""The features of a cube: name, and where its class is. This is the only list of them: table columns, calibration,
weights, selection, ablation, evidence and the words of the review site follow it, in this order."""

YARDSTICK = "speed"
"""The feature that every report compares the score with. It is measured even without a weight: it costs microseconds a
cube."""


@dataclass(frozen=True, kw_only=True)
@with_fields(dict.fromkeys(FEATURES, float))
class FusionConfig:
    """Eq. 9: S = flow · (S_r − μ_r)/σ_r + frame · (S_p − μ_p)/σ_p, and further features of the same form.

    A feature without a weight is not computed, and its column in the tables is null.
    """

    flow: float = 1.0
    """Weight of the flow reconstruction error S_r."""

    frame: float = 0.1
    """Weight of the frame prediction error S_p."""

    speed: float = 0.0
    """Weight of the plain flow speed. Not in the paper."""

    motion: float = 0.0
    """Weight of the motion density (`density`). Not in the paper."""

    perspective: bool = False
    """Measure S_r and speed in box heights, as expected at the box's image row, instead of pixels. Not in the paper:
    its failure case is motion far from the camera (§4.4)."""

    def __post_init__(self) -> None:
        weights = tuple(getattr(self, name) for name in FEATURES)
        require(min(weights) >= 0, f"fusion weights must not be negative: {weights}")
        require(sum(weights) > 0, "the fusion weights must not all be 0")

    @classmethod
    def of(cls, weights: Mapping[str, float], *, perspective: bool = False) -> Self:
        """These weights by name, all others 0."""
        return cls(**{**dict.fromkeys(FEATURES, 0.0), **weights}, perspective=perspective)

    @property
    def weights(self) -> Mapping[str, float]:
        """The features that have a weight above 0, in the order of FEATURES."""
        return {name: weight for name in FEATURES if (weight := getattr(self, name))}
