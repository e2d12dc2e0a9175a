"""Probe cubes: a few training cubes that travel in a bundle, for engines to be compared on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf2vad.bundle.kept import KeptCubes
from hf2vad.schema import APPEARANCE_SHAPE, FLOW_SHAPE

NOISE_CUBES = 16


@dataclass(frozen=True, eq=False)
class ProbeCubes(KeptCubes):
    """Some cubes: (B, 5, 32, 32, 3) pixels and (B, 4, 32, 32, 2) flow."""

    NAME = "probe cubes"
    APPEARANCE = APPEARANCE_SHAPE
    FLOW = FLOW_SHAPE

    def or_noise(self) -> ProbeCubes:
        """These cubes, or noise where there are none: always the same."""
        return self if len(self) else noise_cubes(NOISE_CUBES)


def noise_cubes(count: int) -> ProbeCubes:
    """`count` cubes of uniform pixels and normal flow, the same at every call."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, *APPEARANCE_SHAPE), dtype=np.uint8)
    return ProbeCubes(pixels, rng.normal(0, 1, (count, *FLOW_SHAPE)).astype(np.float16))


NO_PROBE = ProbeCubes.none()
