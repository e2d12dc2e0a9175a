"""Registry of features, and their weights in the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from hf2vad.settings import OMIT_DEFAULT, require, with_fields

FEATURES: Mapping[str, str] = {
    "flow": "hf2vad.features.flow:Flow",
    "frame": "hf2vad.features.frame:Frame",
    "speed": "hf2vad.features.speed:Speed",
    "motion": "hf2vad.features.motion:Motion",
    "energy": "hf2vad.features.energy:Energy",
    "motion_grid": "hf2vad.features.motion_grid:MotionGrid",
    "shape": "hf2vad.features.shape:Shape",
    "look": "hf2vad.features.look:Look",
    "size": "hf2vad.features.size:Size",
    "place": "hf2vad.features.place:Place",
    "classes": "hf2vad.features.classes:Classes",
    "embedding": "hf2vad.features.embedding:Embedding",
}
"""The features of a cube: name, and where its class is. This is the only list of them: table columns, calibration,
weights, selection, ablation, evidence and the words of the review site follow it, in this order."""

YARDSTICK = "speed"
"""The feature that every report compares the score with. It is measured even without a weight: it costs microseconds a
cube."""

Rule = Literal["eq9", "surprise"]

_UNIT_OF_ITS_OWN = "fusion.perspective is for fusion.rule = eq9; with surprise each feature has a unit of its own"


@dataclass(frozen=True, kw_only=True)
@with_fields(dict.fromkeys(FEATURES, float))
class FusionConfig:
    """Fusion of a cube's features into its score. A feature without a weight is not computed, and its column is null.

    `eq9` is the paper's: S = flow · (S_r − μ_r)/σ_r + frame · (S_p − μ_p)/σ_p, and further features of the same form.
    `surprise` adds how rare each feature's value is among normal cubes: S = (Σ t^p)^(1/p) with p = `norm` and
    t = weight · max(0, surprise − silent), where surprise = −log10 P(a normal cube has this value or more).
    """

    rule: Rule = field(default="eq9", metadata={OMIT_DEFAULT: True})
    """`eq9`: deviations from the mean. `surprise`: rarity; the score is then itself the surprise of the sum: 2 is one
    normal object in a hundred, 4 one in ten thousand."""

    silent: float = field(default=1.0, metadata={OMIT_DEFAULT: True})
    """`surprise`: up to this surprise a feature adds nothing. 1: it is silent for nine of ten normal objects."""

    norm: float = field(default=1.0, metadata={OMIT_DEFAULT: True})
    """`surprise`: exponent p of the sum. 1: a plain sum, in which features that say the same count as often as they say
    it. The larger, the more the rarest feature rules."""

    at: Literal["box", "frame"] = field(default="box", metadata={OMIT_DEFAULT: True})
    """`surprise`: where features are added. `box`: in each box, and a frame has its highest sum. `frame`: each feature
    of a frame counts with its highest value over the frame's boxes."""

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
        require(self.silent >= 0, f"fusion.silent must not be negative, got {self.silent}")
        require(math.isfinite(self.norm) and self.norm >= 1, f"fusion.norm must be at least 1, got {self.norm}")
        require(self.norm == 1 or self.rule == "surprise", "fusion.norm is for fusion.rule = surprise; with eq9 give 1")
        require(self.at == "box" or self.rule == "surprise", "fusion.at = frame needs fusion.rule = surprise")
        require(not self.perspective or self.rule == "eq9", _UNIT_OF_ITS_OWN)

    @classmethod
    def of(cls, weights: Mapping[str, float], *, rule: Rule = "eq9") -> Self:
        """These weights by name, all others 0."""
        values: dict[str, Any] = {**dict.fromkeys(FEATURES, 0.0), **weights}
        return cls(rule=rule, **values)

    @property
    def weights(self) -> Mapping[str, float]:
        """The features that have a weight above 0, in the order of FEATURES."""
        return {name: weight for name in FEATURES if (weight := getattr(self, name))}
