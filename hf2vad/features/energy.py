"""Feature `energy`: how much a cube moves in the quietest of its four flows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from hf2vad.features.feature import CubeArrays, CubeSample, Feature, Need
from hf2vad.features.pace import Unit, has_pace, lengths
from hf2vad.schema import F32


@dataclass(frozen=True, kw_only=True)
class EnergyConfig:
    """How the energy of a cube's flow is measured."""

    unit: Unit = "expected_speed"
    """What speeds are divided by."""


class Energy(Feature[EnergyConfig]):
    """Root mean square speed over the crop, the smallest of the four flows': one noisy flow does not raise it."""

    name = "energy"
    word = "speed"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
    Settings = EnergyConfig

    @property
    def fitted(self) -> bool:
        return self.settings.unit != "expected_speed" or has_pace(self.arrays)

    def fit(self, sample: CubeSample) -> Self:
        arrays = sample.pace.arrays() if self.settings.unit == "expected_speed" else {}
        return replace(self, arrays=arrays, perspective=sample.perspective)

    def measure(self, cubes: CubeArrays) -> F32:
        unit = lengths(self.settings.unit, cubes.boxes, self.arrays, self.perspective)
        return np.asarray(cubes.least_speed / unit, np.float32)
