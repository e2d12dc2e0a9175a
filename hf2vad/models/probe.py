"""Probe cubes: a few training cubes that travel in a bundle, for engines to be compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import APPEARANCE_SHAPE, F16, FLOW_SHAPE, U8

NOISE_CUBES = 16


@dataclass(frozen=True, eq=False)
class ProbeCubes:
    """Some cubes."""

    appearance: U8
    """(B, 5, 32, 32, 3)."""
    flow: F16
    """(B, 4, 32, 32, 2)."""

    def __post_init__(self) -> None:
        b = len(self.flow)
        if self.appearance.shape != (b, *APPEARANCE_SHAPE) or self.flow.shape != (b, *FLOW_SHAPE):
            raise BundleError(f"probe cubes have shapes {self.appearance.shape} and {self.flow.shape}; train again")
        if self.appearance.dtype != np.uint8 or self.flow.dtype != np.float16:
            raise BundleError(f"probe cubes are {self.appearance.dtype} and {self.flow.dtype}; train again")

    def __len__(self) -> int:
        return len(self.flow)

    @property
    def arrays(self) -> Mapping[str, U8 | F16]:
        """As a bundle keeps them; empty for no cubes."""
        return {"appearance": self.appearance, "flow": self.flow} if len(self) else {}

    def or_noise(self) -> ProbeCubes:
        """These cubes, or noise where there are none: always the same."""
        return self if len(self) else noise_cubes(NOISE_CUBES)


def noise_cubes(count: int) -> ProbeCubes:
    """`count` cubes of uniform pixels and normal flow, the same at every call."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, *APPEARANCE_SHAPE), dtype=np.uint8)
    return ProbeCubes(pixels, rng.normal(0, 1, (count, *FLOW_SHAPE)).astype(np.float16))


NO_PROBE = ProbeCubes(np.empty((0, *APPEARANCE_SHAPE), np.uint8), np.empty((0, *FLOW_SHAPE), np.float16))
