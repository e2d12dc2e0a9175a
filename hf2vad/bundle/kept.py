"""Training cubes that travel in a bundle: probe cubes to compare engines on, and examples to show beside events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import APPEARANCE_SHAPE, F16, F32, FLOW_SHAPE, SIZE, U8

NOISE_CUBES = 16
POOL = 8
"""Side of the squares that pictures are averaged over before they are compared, in pixels of a crop."""


@dataclass(frozen=True, eq=False)
class KeptCubes:
    """Some cubes, or what is kept of each; a class of its own says what that is."""

    NAME: ClassVar[str]
    """Name of such cubes in error messages."""
    APPEARANCE: ClassVar[tuple[int, ...]]
    """Shape of one cube's pixels."""
    FLOW: ClassVar[tuple[int, ...]]
    """Shape of one cube's flow."""

    appearance: U8
    """(B, *APPEARANCE) BGR."""
    flow: F16
    """(B, *FLOW)."""

    def __post_init__(self) -> None:
        b = len(self.flow)
        if self.appearance.shape != (b, *self.APPEARANCE) or self.flow.shape != (b, *self.FLOW):
            raise BundleError(f"{self.NAME} have shapes {self.appearance.shape} and {self.flow.shape}; train again")
        if self.appearance.dtype != np.uint8 or self.flow.dtype != np.float16:
            raise BundleError(f"{self.NAME} are {self.appearance.dtype} and {self.flow.dtype}; train again")

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty((0, *cls.APPEARANCE), np.uint8), np.empty((0, *cls.FLOW), np.float16))

    def __len__(self) -> int:
        return len(self.flow)

    @property
    def arrays(self) -> Mapping[str, U8 | F16]:
        """The arrays as a bundle keeps them; empty for no cubes."""
        return {"appearance": self.appearance, "flow": self.flow} if len(self) else {}


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


@dataclass(frozen=True, eq=False)
class NormalExamples(KeptCubes):
    """Some cubes as they look and move: the last crop of each, (N, 32, 32, 3), and the median over its four flows,
    component by component, (N, 32, 32, 2)."""

    NAME = "examples"
    APPEARANCE = (SIZE, SIZE, 3)
    FLOW = (SIZE, SIZE, 2)

    @classmethod
    def of(cls, appearance: U8, flow: F16) -> NormalExamples:
        """The examples that (N, 5, 32, 32, 3) pixels and (N, 4, 32, 32, 2) flow make."""
        median = np.median(flow.astype(np.float32), axis=1).astype(np.float16)
        return cls(np.ascontiguousarray(appearance[:, -1]), median)

    def some(self, numbers: Sequence[int]) -> NormalExamples:
        """Examples with these numbers."""
        return NormalExamples(self.appearance[list(numbers)], self.flow[list(numbers)])

    def nearest(self, other: NormalExamples, count: int) -> list[tuple[int, float]]:
        """The `count` examples that look and move most like the one cube of `other`: number and distance, nearest
        first.

        Crop and median flow are averaged over squares of 8 pixels, each of the two is divided by the examples' own
        spread (the root mean square distance from their mean), and the distance is that of both together, √(a² + b²).
        So looks and motion count the same whatever their units, and an average example lies about 1.4 from the mean.
        """
        squared = np.zeros(len(self), np.float64)
        for ours, theirs in ((self.appearance, other.appearance), (self.flow, other.flow)):
            examples, asked = _pooled(ours), _pooled(theirs)
            spread = float(np.square(examples - examples.mean(0)).sum(1).mean()) if len(examples) else 0.0
            squared += np.square(examples - asked).sum(1) / (spread or 1.0)
        order = np.argsort(squared, kind="stable")[:count]
        return [(int(number), float(np.sqrt(squared[number]))) for number in order]


def _pooled(pictures: U8 | F16) -> F32:
    """(N, values): means over squares of POOL pixels."""
    (n, *_, channels), cells = pictures.shape, SIZE // POOL
    squares = pictures.astype(np.float32).reshape(n, cells, POOL, cells, POOL, channels)
    return np.asarray(squares.mean(axis=(2, 4)).reshape(n, cells * cells * channels), np.float32)


NO_EXAMPLES = NormalExamples.none()
