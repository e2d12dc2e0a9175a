"""Which training cubes travel in the bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hf2vad.models.probe import NO_PROBE, ProbeCubes
from hf2vad.training.data import StcTable, join_cubes, read_piece


def probe_cubes(table: StcTable, count: int) -> ProbeCubes:
    """At most `count` cubes of `table`, evenly spaced; no others are read but those of their row groups."""
    numbers = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).astype(np.int64))
    if not len(numbers):
        return NO_PROBE
    firsts = np.array([group.first for group in table.groups])
    parts = []
    for number, place in zip(numbers.tolist(), np.searchsorted(firsts, numbers, side="right") - 1, strict=True):
        group = table.groups[place]
        start = number - group.first
        parts.append(read_piece(replace(group, start=start, stop=start + 1), appearance=True))
    cubes = join_cubes(parts)
    assert cubes.appearance is not None
    return ProbeCubes(cubes.appearance, cubes.flow)
