"""An STC table as a dataset of PyTorch, for research code that brings its own loop."""

from __future__ import annotations

import bisect
from dataclasses import replace
from itertools import accumulate

import torch
from torch.utils.data import Dataset

from hf2vad.training.data import Cubes, StcTable, read_piece


class CubeDataset(Dataset[dict[str, torch.Tensor]]):
    """The cubes of a table by number, in the order of its files.

    An item is a dict: `appearance`, (5, 32, 32, 3) uint8 BGR, and `flow`, (4, 32, 32, 2) float16 in pixels of the
    table's `flow.units`. The row group read last is kept, so that reading in order reads each once; shuffled training
    over a large table is what StcTable.epoch is for.
    """

    def __init__(self, uri: str) -> None:
        """`uri`: what `hf2vad extract` wrote. Raises NotFoundError, SchemaError and MismatchError as StcTable."""
        self.table = StcTable(uri)
        self._ends = list(accumulate(len(piece) for piece in self.table.groups))
        self._held: tuple[int, Cubes] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"cube {number} of {len(self)}")
        number %= len(self)
        group = bisect.bisect_right(self._ends, number)
        if self._held is None or self._held[0] != group:
            self._held = group, read_piece(replace(self.table.groups[group]), True)
        cubes, row = self._held[1], number - (self._ends[group - 1] if group else 0)
        assert cubes.appearance is not None
        return {
            "appearance": torch.from_numpy(cubes.appearance[row].copy()),
            "flow": torch.from_numpy(cubes.flow[row].copy()),
        }
