from __future__ import annotations

import numpy as np
import pytest

from hf2vad.bundle.kept import NO_PROBE, noise_cubes
from hf2vad.fitting.probe import probe_cubes
from hf2vad.schema import F16
from hf2vad.training.data import StcTable
from tests.stc import make_cubes, put_clip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[StcTable, F16]:
    """30 cubes in two files, in row groups of 7, and their flows."""
    folder = tmp_path_factory.mktemp("stc")
    parts = [make_cubes(count, seed) for count, seed in ((20, 1), (10, 2))]
    put_clip(folder, "a", (0, 10), {4: 12, 5: 8}, rows=7, content=parts[0])
    put_clip(folder, "b", (0, 10), {4: 10}, rows=7, content=parts[1])
    return StcTable(str(folder)), np.concatenate([flow for _, flow in parts])


@pytest.mark.parametrize(
    ("count", "numbers"), [(1, [0]), (2, [0, 29]), (4, [0, 9, 19, 29]), (30, list(range(30))), (99, list(range(30)))]
)
def test_probe_cubes_are_evenly_taken(table: tuple[StcTable, F16], count: int, numbers: list[int]) -> None:
    found = probe_cubes(table[0], count)
    assert np.array_equal(found.flow, table[1][numbers])
    assert len(found.appearance) == len(numbers)


def test_none_are_taken_where_none_are_wanted_and_noise_stands_in(table: tuple[StcTable, F16]) -> None:
    assert len(probe_cubes(table[0], 0)) == 0
    assert np.array_equal(NO_PROBE.or_noise().flow, noise_cubes(16).flow)
    assert np.array_equal(noise_cubes(4).appearance, noise_cubes(4).appearance)
    some = probe_cubes(table[0], 3)
    assert some.or_noise() is some
