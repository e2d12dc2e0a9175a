"""Normal examples: training cubes that travel in a bundle to be shown beside events, and which of them is nearest.

Of a cube its last crop and its median flow are kept: what is shown, and what cubes are compared by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import F16, F32, SIZE, U8

POOL = 8
"""Side of the squares that pictures are averaged over before they are compared, in pixels of a crop."""


@dataclass(frozen=True, eq=False)
class NormalExamples:
    """Some cubes as they look and move."""

    appearance: U8
    """(N, 32, 32, 3) BGR: the last crop of each."""
    flow: F16
    """(N, 32, 32, 2): the median over its four flows, component by component."""

    def __post_init__(self) -> None:
        n = len(self.flow)
        if self.appearance.shape != (n, SIZE, SIZE, 3) or self.flow.shape != (n, SIZE, SIZE, 2):
            raise BundleError(f"examples have shapes {self.appearance.shape} and {self.flow.shape}; train again")
        if self.appearance.dtype != np.uint8 or self.flow.dtype != np.float16:
            raise BundleError(f"examples are {self.appearance.dtype} and {self.flow.dtype}; train again")

    @classmethod
    def of(cls, appearance: U8, flow: F16) -> NormalExamples:
        """Of (N, 5, 32, 32, 3) pixels and (N, 4, 32, 32, 2) flow."""
        median = np.median(flow.astype(np.float32), axis=1).astype(np.float16)
        return cls(np.ascontiguousarray(appearance[:, -1]), median)

    def __len__(self) -> int:
        return len(self.flow)

    @property
    def arrays(self) -> Mapping[str, U8 | F16]:
        """As a bundle keeps them; empty for no cubes."""
        return {"appearance": self.appearance, "flow": self.flow} if len(self) else {}

    def nearest(self, other: NormalExamples, count: int) -> list[tuple[int, float]]:
        """The `count` examples that look and move most like the one cube of `other`: number and distance, nearest
        first.

        Crop and median flow are averaged over squares of 8 pixels, each of the two is divided by the examples' own
        spread (the root mean square distance from their mean), and the distance is that of both together, √(a² + b²).
        So looks and motion count the same whatever their units, and an average example lies about 1.4 from the mean.
        """
        squared = np.zeros(len(self), np.float64)
        for ours, theirs in ((self.appearance, other.appearance), (self.flow, other.flow)):
            known, asked = _pooled(ours), _pooled(theirs)
            spread = float(np.square(known - known.mean(0)).sum(1).mean()) if len(known) else 0.0
            squared += np.square(known - asked).sum(1) / (spread or 1.0)
        order = np.argsort(squared, kind="stable")[:count]
        return [(int(number), float(np.sqrt(squared[number]))) for number in order]


def _pooled(pictures: U8 | F16) -> F32:
    """(N, values): means over squares of POOL pixels."""
    (n, *_, channels), cells = pictures.shape, SIZE // POOL
    squares = pictures.astype(np.float32).reshape(n, cells, POOL, cells, POOL, channels)
    return np.asarray(squares.mean(axis=(2, 4)).reshape(n, cells * cells * channels), np.float32)


NO_EXAMPLES = NormalExamples(np.empty((0, SIZE, SIZE, 3), np.uint8), np.empty((0, SIZE, SIZE, 2), np.float16))
