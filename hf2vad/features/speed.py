"""Feature `speed`: the plain speed of a cube's flow, the yardstick without learning."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf2vad.features.feature import CubeArrays, Feature, Need, NoSettings, Topic, median_of_four, speeds
from hf2vad.schema import F16, F32


class Speed(Feature[NoSettings]):
    """Speed of a cube in flow units a frame. Always measured, because every report compares with it."""

    name = "speed"
    word = "speed"
    topic: ClassVar[Topic] = "speed"
    says = "moves fast"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow"})
    length_power = 1

    def measure(self, cubes: CubeArrays) -> F32:
        return flow_speed(cubes.vectors)


def flow_speed(flow: F16 | F32) -> F32:
    """(B,) for (B, 4, 32, 32, 2) flow: the median over the four flows of each pixel's speed, averaged over the crop."""
    return np.asarray(median_of_four(speeds(flow.astype(np.float32, copy=False))).mean(axis=(1, 2)), np.float32)
