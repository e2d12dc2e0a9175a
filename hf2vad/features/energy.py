"""Feature `energy`: how fast the fastest quarter of a cube moves, in the quietest of its four flows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from hf2vad.features.feature import FASTEST, CubeArrays, CubeSample, Feature, Need, Statement, Topic
from hf2vad.features.pace import Unit, has_pace, lengths
from hf2vad.schema import F32


@dataclass(frozen=True, kw_only=True)
class EnergyConfig:
    """Settings of the feature `energy`."""

    unit: Unit = "expected_speed"
    """Unit of speed."""


class Energy(Feature[EnergyConfig]):
    """Root mean square speed of the quarter of the crop that moves fastest, the smallest of the four flows': it hardly
    depends on one noisy flow, or on how closely the box fits. Older bundles have that of the whole crop."""

    name = "energy"
    word = "speed"
    topic: ClassVar[Topic] = "speed"
    says = "moves fast"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
    Settings = EnergyConfig

    @property
    def fitted(self) -> bool:
        return self.settings.unit != "expected_speed" or has_pace(self.arrays)

    def fit(self, sample: CubeSample) -> Self:
        pace = sample.pace.arrays() if self.settings.unit == "expected_speed" else {}
        fastest = np.array([FASTEST], np.float32)
        return replace(self, arrays={**pace, "fastest": fastest}, perspective=sample.perspective)

    def statement(self, value: float, limit: float | None, cubes: CubeArrays | None) -> Statement:
        if limit is None or limit <= 0 or value < 1.1 * limit:
            return super().statement(value, limit, cubes)
        return Statement(self.word, f"moves about {times(value / limit)} as fast as all but 1 in 100 objects learnt")

    def measure(self, cubes: CubeArrays) -> F32:
        unit = lengths(self.settings.unit, cubes.boxes, self.arrays, self.perspective)
        speed = cubes.fastest_speed if "fastest" in self.arrays else cubes.least_speed
        return np.asarray(speed / unit, np.float32)


def times(ratio: float) -> str:
    """A ratio above 1 in words, as exact as it deserves: "1.4 times", "twice", "3 times"."""
    if ratio < 1.75:
        return f"{ratio:.1f} times"
    return "twice" if ratio < 2.25 else f"{round(ratio)} times" if ratio > 2.75 else "2.5 times"
