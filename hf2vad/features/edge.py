"""Boxes that the picture's edge cuts, brought nearer to the scale of all boxes.

Of an object that comes into the picture, flow is guesswork, and what is seen of it says little of its outline and size.
So such boxes have far higher values than others, and would be most of what looks unusual. Here their values go half of
the way to those that are as rare among all boxes. Not the whole way, because part of an object says something still: a
car is too wide for a footway before it is wholly seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.features.feature import CubeArrays, Feature
from hf2vad.features.tail import fit_tail
from hf2vad.schema import F32

FEWEST = 100
"""Training cubes at the picture's edge, at least: with fewer their distribution is not known."""
SHARE = 0.5
"""Share of the way that values at the edge go."""
ARRAY = "at_edge"
"""Name of a feature's array (2, n): values of boxes at the edge, increasing, and those that they become."""


def edge_scale(values: F32, at_edge: npt.NDArray[np.bool_]) -> dict[str, F32]:
    """The array, by its name, for (B,) values of training cubes; at_edge: (B,), which of them the picture's edge cuts.
    None where these are too few."""
    if at_edge.sum() < FEWEST:
        return {}
    everywhere, edge = fit_tail(values), fit_tail(values[at_edge])
    known = np.union1d(everywhere.surprises, edge.surprises)
    surprises = np.append(known, known[-1] + 1)  # beyond the last two points both tails are straight lines
    own, as_rare = edge.values_at(surprises), everywhere.values_at(surprises)
    return {ARRAY: np.array([own, own + SHARE * (as_rare - own)], np.float32)}


def measured(feature: Feature[Any], cubes: CubeArrays) -> F32:
    """(B,) values of cubes by a fitted feature; of boxes at the picture's edge, nearer to the scale of all."""
    values = feature.measure(cubes)
    return values if cubes.at_edge is None else nearer(feature.arrays, values, cubes.at_edge)


def nearer(arrays: Mapping[str, F32], values: F32, at_edge: npt.NDArray[np.bool_]) -> F32:
    """(B,) values as `measured` gives them; arrays: those of the feature. Without its scale values stay as they are."""
    if ARRAY not in arrays:
        return values
    own, becomes = arrays[ARRAY].astype(np.float64)
    slope = (becomes[-1] - becomes[-2]) / (own[-1] - own[-2])
    exact = values[at_edge].astype(np.float64)
    moved = values.copy()
    moved[at_edge] = np.interp(exact, own, becomes) + slope * np.maximum(exact - own[-1], 0.0)
    return moved
