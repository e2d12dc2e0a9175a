"""Cubes of events that people marked: finds cubes that are like those of events called normal.

A cube is excused where it is nearer to cubes of events called normal than to cubes of events called interesting, and
near enough; but not one that is as good as a single cube of an interesting event, such as that event's own. Near is by
all vectors that the bundle's features compare cubes by, together: a van that is as large as the one called normal, but
moves another way, is another thing. What a bundle has learnt before stays as it was, so that nothing else becomes less
surprising.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hf2vad.errors import BundleError
from hf2vad.features.exemplars import ExemplarFeature
from hf2vad.features.feature import CubeArrays, Feature
from hf2vad.features.rows import products_by_row
from hf2vad.schema import F32, I32

NEIGHBOURS = 3
"""Taught cubes whose mean distance counts: one alone may be a crop that went wrong."""
REACH = 3.5
"""Distance up to which a cube is like one called normal, for each vector and where some events are called interesting;
1 is how far nine of ten normal cubes are from the nearest of what a bundle was trained on."""
SAME = 1.0
"""Distance, in the unit of REACH, up to which a cube is as good as one called interesting."""
REACH_ALONE = 2.3
"""Reach if no event is called interesting, so that nothing limits a mark of normal."""
CHUNK = 1024
"""Cubes compared at once."""


@dataclass(frozen=True, eq=False)
class TaughtCubes:
    """Cubes of events that people have called normal or interesting; they travel in a bundle."""

    vectors: Mapping[str, F32] = field(default_factory=dict)
    """(N, D) for each feature that compares cubes, by name, each divided by the feature's scale."""
    scales: Mapping[str, float] = field(default_factory=dict)
    """Divisor of each feature's vectors: the distance to training cubes within which nine of ten normal cubes lie."""
    normal: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(N,): whether a cube's event was called normal; else interesting."""
    event: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    """(N,): number of a cube's event among those in the bundle's provenance."""

    def __post_init__(self) -> None:
        count = len(self.normal)
        wrong = [name for name, rows in self.vectors.items() if rows.ndim != 2 or len(rows) != count]
        if wrong or len(self.event) != count or self.vectors.keys() != self.scales.keys():
            raise BundleError("taught cubes do not fit each other; teach again")

    def __len__(self) -> int:
        return len(self.normal)

    @property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """As a bundle keeps them; empty without cubes."""
        if not len(self):
            return {}
        named = {f"vectors/{name}": rows for name, rows in self.vectors.items()}
        scales = {f"scale/{name}": np.array([scale], np.float32) for name, scale in self.scales.items()}
        return {"normal": self.normal.astype(np.uint8), "event": self.event, **named, **scales}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self:
        """The inverse of `arrays`. Raises BundleError for what it cannot have given."""
        if not arrays:
            return cls()
        try:
            return cls(
                {name.removeprefix("vectors/"): rows for name, rows in arrays.items() if name.startswith("vectors/")},
                {n.removeprefix("scale/"): float(rows[0]) for n, rows in arrays.items() if n.startswith("scale/")},
                arrays["normal"].astype(np.bool_),
                arrays["event"],
            )
        except (KeyError, IndexError) as error:
            raise BundleError(f"taught cubes lack {error}; teach again") from None

    def excuses(self, features: Mapping[str, Feature[Any]], cubes: CubeArrays) -> npt.NDArray[np.bool_]:
        """(B,): which cubes are like those of events called normal. features: the bundle's, by name."""
        if not self.normal.any():
            return np.zeros(len(cubes), np.bool_)
        asked = scaled_vectors([features[name] for name in self.vectors], cubes, self.scales)
        like = np.empty(len(cubes), np.bool_)
        alone = bool(self.normal.all())
        together = np.sqrt(len(self.vectors))
        reach = (REACH_ALONE if alone else REACH) * together
        for start in range(0, len(cubes), CHUNK):
            distances = self._distances({name: rows[start : start + CHUNK] for name, rows in asked.items()})
            near = _mean_of_nearest(distances[:, self.normal])
            like[start : start + CHUNK] = near < reach
            if not alone:
                interesting = distances[:, ~self.normal]
                nearest = interesting.min(1)
                other = (nearest > SAME * together) | (distances[:, self.normal].min(1) < nearest)
                like[start : start + CHUNK] &= other & (near < _mean_of_nearest(interesting))
        return like

    def _distances(self, asked: Mapping[str, F32]) -> F32:
        """(B, N) distances over all vectors together."""
        squared = np.zeros((len(next(iter(asked.values()))), len(self)), np.float32)
        for name, rows in self.vectors.items():
            middle = rows.mean(0)
            ours, theirs = rows - middle, asked[name] - middle
            squared += np.square(theirs).sum(1)[:, None] + np.square(ours).sum(1) - 2 * products_by_row(theirs, ours.T)
        return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)


NO_TAUGHT = TaughtCubes()


def scaled_vectors(features: Sequence[Feature[Any]], cubes: CubeArrays, scales: Mapping[str, float]) -> dict[str, F32]:
    """The vectors by which features compare cubes, each divided by its scale, by the features' names."""
    compared = [feature for feature in features if isinstance(feature, ExemplarFeature)]
    return {one.name: (one.vectors_once(cubes) / np.float32(scales[one.name])).astype(np.float32) for one in compared}


def _mean_of_nearest(distances: F32) -> F32:
    """(B,) for (B, N): the mean of the NEIGHBOURS smallest."""
    count = min(NEIGHBOURS, distances.shape[1])
    return np.asarray(np.partition(distances, count - 1, axis=1)[:, :count].mean(1), np.float32)
