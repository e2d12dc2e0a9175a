"""Training cubes that travel in the bundle: for comparing engines, and for showing beside events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.examples import NO_EXAMPLES, NormalExamples
from hf2vad.bundle.probe import NO_PROBE, ProbeCubes
from hf2vad.schema import F16, U8
from hf2vad.training.data import StcTable, read_piece


def probe_cubes(table: StcTable, count: int) -> ProbeCubes:
    """At most `count` cubes of `table`, evenly spaced."""
    parts = list(_evenly(table, count))
    if not parts:
        return NO_PROBE
    return ProbeCubes(np.concatenate([pixels for pixels, _ in parts]), np.concatenate([flow for _, flow in parts]))


def normal_examples(table: StcTable, count: int) -> NormalExamples:
    """The last crop and median flow of at most `count` cubes of `table`, evenly spaced."""
    parts = [NormalExamples.of(pixels, flow) for pixels, flow in _evenly(table, count)]
    if not parts:
        return NO_EXAMPLES
    pictures = np.concatenate([part.appearance for part in parts])
    return NormalExamples(pictures, np.concatenate([part.flow for part in parts]))


def evenly_spaced(table: StcTable, count: int) -> npt.NDArray[np.int64]:
    """Numbers of at most `count` cubes of `table`, ascending."""
    return np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).astype(np.int64))


def _evenly(table: StcTable, count: int) -> Iterator[tuple[U8, F16]]:
    """Pixels and flow of `count` cubes, row group by row group; a row group without any is not read."""
    numbers = evenly_spaced(table, count)
    places = np.searchsorted([group.first + group.start for group in table.groups], numbers, side="right") - 1
    for place in np.unique(places).tolist():
        group = table.groups[place]
        rows = numbers[places == place] - group.first
        start = int(rows[0])
        cubes = read_piece(replace(group, start=start, stop=int(rows[-1]) + 1), appearance=True)
        assert cubes.appearance is not None
        yield cubes.appearance[rows - start], cubes.flow[rows - start]
