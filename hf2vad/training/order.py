"""Order of training cubes: blocks of row groups, shuffled, divided among processes.

Order of an epoch: the row groups of all files are shuffled into one long row of cubes, the same in all processes.
Process r of N takes the r-th of N equal shares of it (a row group on the border of two shares is read by both, and
cut), joins its row groups into blocks of at least `window` / N cubes, and shuffles the cubes of each block. A table
that fits the window is shuffled fully, but for the borders. All processes have the same number of batches, so none
waits for another's last one.

The order depends on seed, epoch and the number of processes alone, so training can stop after any batch and go on from
there. With another number of processes it goes on as well, in another order: some cubes of that epoch come twice,
others not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Consecutive cubes of one row group."""

    uri: str
    group: int
    start: int
    stop: int
    """Rows of the row group."""
    first: int
    """Number in the table of the cube in row 0; of a row group that begins before the table does, what it would be."""

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Block:
    """Row groups that are read and shuffled together."""

    pieces: tuple[Piece, ...]
    order: Index
    """The rows of the joined pieces in their shuffled order, without those that are not wanted."""

    @property
    def numbers(self) -> Index:
        """The numbers, in the whole table, of the cubes in their shuffled order."""
        whole = [np.arange(p.first + p.start, p.first + p.stop) for p in self.pieces]
        numbers: Index = np.concatenate(whole)[self.order]
        return numbers


@dataclass(frozen=True, kw_only=True)
class Order:
    """One epoch's order, as one process sees it."""

    batch: int
    """Cubes a step, of all processes together."""
    seed: int
    epoch: int
    window: int
    """Cubes that wait to be shuffled, in all processes together."""
    rank: int = 0
    world: int = 1
    steps: int = 0
    """Batches at most; 0: as many as the table gives."""
    skip: int = 0
    """Batches that are left out at the beginning."""

    @property
    def local_batch(self) -> int:
        """Cubes a step of one process."""
        return self.batch // self.world

    def batches(self, cubes: int) -> int:
        """Batches in an epoch over `cubes`: the last incomplete one is left out, except where it is the only one."""
        all_of_them = max(1, cubes // self.batch)
        return min(all_of_them, self.steps) if self.steps else all_of_them

    def cubes(self, cubes: int) -> int:
        """Cubes that all processes together learn from in an epoch over `cubes`."""
        return min(self.batches(cubes) * self.batch, cubes)

    def share(self, cubes: int) -> int:
        """Cubes in the share of one process."""
        return cubes // self.world

    def blocks(self, groups: Sequence[Piece]) -> Iterator[Block]:
        """The blocks of this process over the row groups `groups`."""
        total = sum(len(group) for group in groups)
        wanted = min(self.batches(total) * self.local_batch, self.share(total))
        first, before = self.skip * self.local_batch, 0
        for number, pieces in enumerate(self._joined(groups, total)):
            rows = sum(len(piece) for piece in pieces)
            if before >= wanted:
                return
            if before + rows > first:
                order = np.random.default_rng([self.seed, self.epoch, number, 1 + self.rank]).permutation(rows)
                yield Block(tuple(pieces), order[max(0, first - before) : max(0, wanted - before)])
            before += rows

    def _joined(self, groups: Sequence[Piece], total: int) -> Iterator[list[Piece]]:
        share = self.share(total)
        start = self.rank * share
        stop = start + share
        block: list[Piece] = []
        held = before = 0
        for index in np.random.default_rng([self.seed, self.epoch, 0]).permutation(len(groups)):
            group = groups[index]
            low, high = max(start - before, 0), min(stop - before, len(group))
            before += len(group)
            if low < high:
                block.append(replace(group, start=group.start + low, stop=group.start + high))
                held += high - low
            if held * self.world >= self.window:
                yield block
                block, held = [], 0
        if block:
            yield block
