"""Feature `flow`: the flow network's reconstruction error (paper §3.1, §3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np

from hf2vad.features.feature import CubeArrays, CubeSample, Feature, Need, Topic
from hf2vad.features.pace import has_pace, lengths
from hf2vad.schema import F32
from hf2vad.settings import OMIT_DEFAULT

LEAST = 0.5
"""Smallest expected speed that a residual is measured in, as a share of the mean one. Where nothing moves in training,
no speed is expected; but the network errs there too."""


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """Settings of the feature `flow`."""

    unit: Literal["pixels", "expected_speed"] = field(default="pixels", metadata={OMIT_DEFAULT: True})
    """Unit of the residual. `pixels`: of flow, as in the paper. `expected_speed`: the speed expected at the box's image
    row, at least half of the mean one, so that what is near the camera has no larger errors than what is far away."""


class Flow(Feature[ResidualConfig]):
    """S_r: squared error of a cube's four reconstructed flows, in squared units of flow or of expected speed.

    How the errors of the four flows become one number: `ModelConfig.flow_error`.
    """

    name = "flow"
    word = "flow"
    topic: ClassVar[Topic] = "motion"
    says = "moves in a way that normal motion does not explain"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow_network", "flow", "boxes"})
    length_power = 2
    Settings = ResidualConfig

    @classmethod
    def key(cls) -> str:
        return "residual"

    @property
    def fitted(self) -> bool:
        return self.settings.unit == "pixels" or has_pace(self.arrays)

    def fit(self, sample: CubeSample) -> Self:
        return self if self.settings.unit == "pixels" else replace(self, arrays=sample.pace.arrays())

    def measure(self, cubes: CubeArrays) -> F32:
        if self.settings.unit == "pixels":
            return cubes.errors["flow"]
        unit = np.maximum(lengths(self.settings.unit, cubes.boxes, self.arrays, None), LEAST)
        return np.asarray(cubes.errors["flow"] / np.square(unit), np.float32)
