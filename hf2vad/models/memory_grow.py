"""A memory together with the transposed convolution that follows it, for scoring (paper §3.1).

What is read is a weighted sum of slots, and what follows is linear: slots may be read first and then grown, or grown
first and then read. After the shrinkage few slots have a weight above zero, and only those have to be read.
Which is fastest depends on how many there are; each form below gives the same result but for rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hf2vad.models.memory import Memory, shrunk_weights

FEW_SLOTS = 64
"""Slots of a memory that is read whole, from slots that were grown once and for all."""
CAPACITIES = (32, 128)
"""Slots that a larger memory may be read by."""
HEADROOM = 2
"""A capacity must be this many times the slots that the probe cubes keep ..."""
GAIN = 4
"""... and at most one in so many of all slots; else all are read."""


def capacities(kept: Mapping[Any, int], slots: int) -> dict[Any, int]:
    """Number of slots that a batch may keep in each memory of `slots`, where its probe cubes keep `kept`.

    A memory that is best read whole has no entry.
    """
    capacity = {}
    for level, count in kept.items():
        enough = [c for c in CAPACITIES if c >= HEADROOM * count and c * GAIN <= slots]
        if enough and slots > FEW_SLOTS:
            capacity[level] = enough[0]
    return capacity


def memory_grow(memory: Memory, grow: nn.ConvTranspose2d, *, capacity: int, queries: int) -> MemoryGrow:
    """The form for a memory of which a batch of `queries` keeps at most `capacity` slots; 0: any number."""
    if len(memory.items) <= FEW_SLOTS:
        return GrownSlots(memory, grow)
    if capacity:
        return SomeSlots(memory, grow, capacity=capacity, grow_first=queries > 2 * capacity)
    return AllSlots(memory, grow)


class MemoryGrow(nn.Module):
    """(B, C, H, W) features to (B, C/2, 2H, 2W) grown readings, and () int64: kept slots that were not read."""

    keys: Tensor
    items: Tensor

    def __init__(self, memory: Memory, grow: nn.ConvTranspose2d) -> None:
        super().__init__()
        items = memory.items.detach()
        self.shrink = memory.shrink
        self.cosine = memory.sharpness is not None
        self.grow = copy.deepcopy(grow)
        self.register_buffer("items", items)
        self.register_buffer(
            "keys", items if memory.sharpness is None else memory.sharpness * F.normalize(items, dim=1)
        )

    def weights(self, features: Tensor) -> Tensor:
        """(B, slots) addressing weights, float32."""
        queries = features.flatten(1)
        if self.cosine:
            queries = queries / queries.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
        return shrunk_weights((queries @ self.keys.t()).float(), self.shrink)


class AllSlots(MemoryGrow):
    """Reads all slots and grows what was read."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weights(features)
        read = weights.to(features.dtype) @ self.items
        return self.grow(read.view(features.shape)), weights.new_zeros((), dtype=torch.int64)


class GrownSlots(MemoryGrow):
    """Reads all slots, which are grown already. A query that reads nothing gets the layer's bias alone, as it would."""

    grown: Tensor
    bias: Tensor

    def __init__(self, memory: Memory, grow: nn.ConvTranspose2d) -> None:
        super().__init__(memory, grow)
        side = round((self.items.shape[1] / grow.in_channels) ** 0.5)
        with torch.no_grad():
            layer = copy.deepcopy(grow).double()
            maps = self.items.double().view(-1, grow.in_channels, side, side)
            grown = layer(maps) - layer.bias.view(-1, 1, 1)  # type: ignore[union-attr]
        self.register_buffer("bias", grow.bias.detach().view(-1, 1, 1))  # type: ignore[union-attr]
        self.register_buffer("grown", grown.flatten(1).float())
        self.shape = tuple(grown.shape[1:])
        del self.items, self.grow
        if not self.cosine:
            self.keys = self.keys.clone()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weights(features)
        grown = (weights.to(features.dtype) @ self.grown).view(-1, *self.shape) + self.bias
        return grown, weights.new_zeros((), dtype=torch.int64)


class SomeSlots(MemoryGrow):
    """Reads the `capacity` slots of the largest weights in the batch: all that are kept, where no more are."""

    def __init__(self, memory: Memory, grow: nn.ConvTranspose2d, *, capacity: int, grow_first: bool) -> None:
        """`grow_first`: grow those slots and read them, cheaper for more queries than slots."""
        super().__init__(memory, grow)
        self.capacity, self.grow_first = capacity, grow_first

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weights(features)
        highest = weights.amax(0)
        chosen = highest.topk(self.capacity).indices.sort().values
        missed = ((highest > 0).sum() - self.capacity).clamp_min(0)
        few = weights.index_select(1, chosen).to(features.dtype)
        slots = self.items.index_select(0, chosen)
        if not self.grow_first:
            return self.grow((few @ slots).view(features.shape)), missed
        grown = F.conv_transpose2d(
            slots.view(-1, *features.shape[1:]), self.grow.weight, stride=2, padding=1, output_padding=1
        )
        bias = self.grow.bias.view(-1, 1, 1)  # type: ignore[union-attr]
        return (few @ grown.flatten(1)).view(-1, *grown.shape[1:]) + bias, missed
