"""Batches of an epoch, and reconstructions of the frozen autoencoder."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.schema import APPEARANCE_BYTES, APPEARANCE_SHAPE, FLOW_BYTES, FLOW_SHAPE
from hf2vad.threads import prefetch
from hf2vad.training.data import StcTable, read_piece
from hf2vad.training.order import Order

RECONSTRUCTION_SHAPE = (8, 32, 32)
RECONSTRUCTION_BYTES = 4 * 8 * 32 * 32
"""Shape of one cube's reconstructed flows, float32."""
AHEAD = 4
"""Batches that are read ahead."""


@dataclass(frozen=True)
class Batch:
    """Input of one training step in one process."""

    inputs: CubeTensors
    numbers: Tensor
    """(B,) int64: the cubes' numbers in the table."""

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Budget:
    """Data that a training stage keeps in memory."""

    reconstructions: bool
    """True if the frozen autoencoder's reconstructions are kept."""
    table: int
    """Bytes that are left for the decoded table."""


def budget(table: StcTable, gib: float, *, frozen_flow: bool) -> Budget:
    """Division of `gib` GiB of memory in a stage: reconstructions first, if the autoencoder is frozen."""
    memory = int(gib * 2**30)
    needed = len(table) * RECONSTRUCTION_BYTES
    keep = frozen_flow and needed <= memory
    return Budget(keep, memory - needed if keep else memory)


class Batches:
    """Batches streamed from the table, or, where `memory` holds it, from the decoded table on `device`.

    Both are the same, bit for bit.
    """

    def __init__(self, table: StcTable, device: torch.device, *, appearance: bool, memory: int) -> None:
        """`memory`: bytes that may be used; `appearance`: whether the batches have pixels."""
        self._table, self._device, self._appearance = table, device, appearance
        per_cube = FLOW_BYTES + (APPEARANCE_BYTES if appearance else 0)
        self._held = self._load() if len(table) * per_cube <= memory else None

    def epoch(self, order: Order) -> Generator[Batch, None, None]:
        """The batches of one epoch; close it when not all are taken."""
        numbers = (torch.from_numpy(batch) for batch in self._table.epoch_numbers(order))
        if self._held is not None:
            frames, flow = self._held
            for chosen in numbers:
                there = chosen.to(self._device)
                inputs = cube_tensors(None if frames is None else frames[there], flow[there], self._device)
                yield Batch(inputs, chosen)
            return
        stream = self._table.epoch(order, appearance=self._appearance)
        with contextlib.closing(prefetch(stream, depth=AHEAD)) as ready:
            for chosen, cubes in zip(numbers, ready, strict=True):
                yield Batch(cube_tensors(cubes.appearance, cubes.flow, self._device), chosen)

    def _load(self) -> tuple[Tensor | None, Tensor]:
        n = len(self._table)
        flow = torch.empty((n, *FLOW_SHAPE), dtype=torch.float16, device=self._device)
        frames = None
        if self._appearance:
            frames = torch.empty((n, *APPEARANCE_SHAPE), dtype=torch.uint8, device=self._device)
        for piece in self._table.groups:
            part = slice(piece.first + piece.start, piece.first + piece.stop)
            cubes = read_piece(piece, self._appearance)
            flow[part] = torch.tensor(cubes.flow)
            if frames is not None and cubes.appearance is not None:
                frames[part] = torch.tensor(cubes.appearance)
        return frames, flow


class Reconstructions:
    """Reconstructions of each cube's flows by the frozen autoencoder, computed at the cube's first use and then kept.

    Kept as float32, so they are what would be computed again, up to the rounding of sums in batches of another make-up.
    """

    def __init__(self, cubes: int, device: torch.device) -> None:
        self._known = torch.zeros(cubes, dtype=torch.bool)
        self._kept = torch.empty((cubes, *RECONSTRUCTION_SHAPE), device=device)

    def of(self, model: HF2VAD, batch: Batch) -> Tensor:
        """(B, 8, 32, 32) float32."""
        there = batch.numbers.to(self._kept.device)
        if not bool(self._known[batch.numbers].all()):
            new = ~self._known[batch.numbers]
            with torch.no_grad():
                flows = model.reconstruct(batch.inputs).flow.float()
            self._kept[there[new.to(there.device)]] = flows[new.to(flows.device)]
            self._known[batch.numbers] = True
        return self._kept[there]
