"""Feature `look`: what is in the box, as a small grey picture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, Need, Topic
from hf2vad.schema import F32, SIZE

PIXELS = 8
"""Pixels a side."""


class Look(ExemplarFeature[ExemplarConfig]):
    """Distance of the last crop, in 8×8 grey pixels, to the nearest exemplar."""

    name = "look"
    word = "look"
    topic: ClassVar[Topic] = "looks"
    says = "looks unusual"
    needs: ClassVar[frozenset[Need]] = frozenset({"pixels"})
    Settings = ExemplarConfig

    def vectors(self, cubes: CubeArrays) -> F32:
        side = SIZE // PIXELS
        small = cubes.grey.reshape(-1, PIXELS, side, PIXELS, side).mean((2, 4)).reshape(-1, PIXELS**2)
        return np.asarray(small / 255, np.float32)
