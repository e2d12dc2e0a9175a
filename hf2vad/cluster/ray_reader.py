"""The STC table read through Ray Data: tasks on any node read row groups ahead of the worker that trains on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import ray.data

from hf2vad.training.data import Cubes, join_cubes, read_piece_table, view_cubes
from hf2vad.training.order import Piece

CPUS = 0
"""What a reading task reserves: nothing, or it would wait for ever where training workers hold all CPUs."""
TASKS = 2
"""Reading tasks at once, for each worker."""
CHUNK_BYTES = 32 * 2**20
"""What a task returns at once."""


def read_through_ray(blocks: Iterable[tuple[Piece, ...]], appearance: bool) -> Iterator[Cubes]:
    """Blocks in their order, the same as `training.data.read_blocks` gives them, read ahead by Ray Data."""
    plan = list(blocks)
    if not plan:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.target_max_block_size = CHUNK_BYTES
    rows = [{"pieces": json.dumps([vars(piece) for piece in pieces])} for pieces in plan]
    found = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _read,  # type: ignore[arg-type]
        fn_kwargs={"appearance": appearance},
        batch_size=1,
        num_cpus=CPUS,
        concurrency=TASKS,
    )
    parts = found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=TASKS)
    yield from _regrouped(iter(parts), [sum(map(len, pieces)) for pieces in plan])


def _read(batch: dict[str, Any], *, appearance: bool) -> Iterator[pa.Table]:
    for piece in json.loads(batch["pieces"][0]):
        yield read_piece_table(Piece(**piece), appearance)


def _regrouped(parts: Iterator[pa.Table], sizes: list[int]) -> Iterator[Cubes]:
    """Rows in blocks of these sizes, however Ray Data has cut them."""
    rest = pa.table({"flow": []})
    for size in sizes:
        held: list[Cubes] = []
        missing = size
        while missing:
            part = rest if len(rest) else next(parts)
            held.append(view_cubes(part.slice(0, missing)))
            rest = part.slice(missing)
            missing -= len(held[-1])
        yield join_cubes(held)
