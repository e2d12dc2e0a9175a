"""Normal examples: training cubes that travel in a bundle to be shown beside events, and which of them is nearest.

Of a cube its last crop and its median flow are kept: what is shown, and what cubes are compared by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf2vad.bundle.kept import KeptCubes
from hf2vad.schema import F16, F32, SIZE, U8

POOL = 8
"""Side of the squares that pictures are averaged over before they are compared, in pixels of a crop."""


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
