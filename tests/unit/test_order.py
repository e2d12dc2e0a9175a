"""The order of an epoch among several processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.training.order import Order, Piece


def row_groups(sizes: list[int]) -> list[Piece]:
    starts = np.cumsum([0, *sizes])
    return [Piece("a", i, 0, rows, int(starts[i])) for i, rows in enumerate(sizes)]


def numbers(order: Order, groups: list[Piece]) -> list[int]:
    """The cubes of one process in their order, without the incomplete batch at the end."""
    return [int(n) for block in order.blocks(groups) for n in block.numbers]


sizes = st.lists(st.integers(1, 30), min_size=1, max_size=12).filter(lambda found: sum(found) >= 8)


@settings(max_examples=150)
@given(sizes=sizes, world=st.integers(1, 4), local=st.integers(2, 9), window=st.integers(1, 90), seed=st.integers(0, 3))
def test_processes_share_an_epoch_without_a_cube_twice_and_with_as_many_batches_each(
    sizes: list[int], world: int, local: int, window: int, seed: int
) -> None:
    groups, total = row_groups(sizes), sum(sizes)
    orders = [
        Order(batch=local * world, seed=seed, epoch=1, window=window, rank=rank, world=world) for rank in range(world)
    ]
    found = [numbers(order, groups) for order in orders]
    assert len({len(one) for one in found}) == 1
    if total >= local * world:
        assert len(found[0]) == total // (local * world) * local
    else:
        assert len(found[0]) == total // world
    together = [number for one in found for number in one]
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(total))


@settings(max_examples=80)
@given(sizes=sizes, world=st.integers(1, 3), window=st.integers(1, 90), skip=st.integers(0, 6), steps=st.integers(0, 5))
def test_skipping_and_limiting_steps_leave_the_rest_of_the_order_as_it_is(
    sizes: list[int], world: int, window: int, skip: int, steps: int
) -> None:
    groups = row_groups(sizes)
    for rank in range(world):
        same = {"batch": 2 * world, "seed": 0, "epoch": 0, "window": window, "rank": rank, "world": world}
        whole = numbers(Order(**same), groups)
        part = numbers(Order(**same, skip=skip, steps=steps), groups)
        assert part == whole[2 * skip : 2 * steps if steps else None]


def test_every_cube_comes_once_when_shares_and_batches_divide_the_table() -> None:
    groups = row_groups([10, 30, 8, 16])
    found = [numbers(Order(batch=8, seed=5, epoch=2, window=16, rank=r, world=2), groups) for r in range(2)]
    assert sorted(found[0] + found[1]) == list(range(64))


def test_the_shares_of_an_epoch_are_others_in_the_next() -> None:
    groups = row_groups([8] * 8)
    first, second = (
        set(numbers(Order(batch=8, seed=0, epoch=epoch, window=64, rank=0, world=2), groups)) for epoch in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize(("steps", "expected"), [(0, 8), (3, 3), (100, 8)])
def test_steps_limit_the_batches_of_an_epoch(steps: int, expected: int) -> None:
    order = Order(batch=8, seed=0, epoch=0, window=64, steps=steps)
    assert order.batches(64) == expected
    assert order.cubes(64) == 8 * expected


def test_a_few_steps_read_only_the_first_blocks() -> None:
    order = Order(batch=8, seed=0, epoch=0, window=16, steps=3)
    assert len(list(order.blocks(row_groups([16] * 50)))) == 2
