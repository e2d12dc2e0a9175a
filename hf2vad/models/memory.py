"""The memory module: a feature map rebuilt from the few slots that resemble it (paper §3.1; Gong et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TINY = 1e-12


@dataclass(frozen=True)
class Addressing:
    """Addressing weights of one memory."""

    entropy: Tensor
    """(): entropy of the addressing weights, averaged over queries (Eq. 2)."""
    slots_kept: Tensor
    """(): slots that survive the shrinkage for at least one query of the batch."""


class Memory(nn.Module):
    """`slots` vectors of `size` numbers. A query is one sample's whole flattened feature map."""

    def __init__(self, slots: int, size: int, *, shrink: float, sharpness: float | None = None) -> None:
        """`sharpness`: compare by cosine, times this; none: by dot product."""
        super().__init__()
        self.shrink, self.sharpness = shrink, sharpness
        self.items = nn.Parameter(torch.empty(slots, size))
        bound = 1 / math.sqrt(size)
        nn.init.uniform_(self.items, -bound, bound)

    def forward(self, features: Tensor) -> tuple[Tensor, Addressing]:
        """Read the memory for `features` (B, C, H, W); what is read has the same shape.

        Weights are a softmax over the likeness to all slots, hard-shrunk at λ and scaled to sum to 1. A query for
        which no weight exceeds λ reads zeros.
        """
        weights = self.address(features.flatten(1))
        read = weights.to(self.items.dtype) @ self.items
        entropy = -(weights * torch.log(weights + _TINY)).sum(1).mean()
        kept = (weights > 0).any(0).sum()
        return read.view(features.shape), Addressing(entropy, kept)

    def address(self, queries: Tensor) -> Tensor:
        """(B, slots) weights for (B, size) queries, in float32."""
        return shrunk_weights(self._likeness(queries), self.shrink)

    def _likeness(self, queries: Tensor) -> Tensor:
        """(B, slots) float32: dot products, or scaled cosines."""
        if self.sharpness is None:
            return (queries @ self.items.t()).float()
        return self.sharpness * (F.normalize(queries, dim=1) @ F.normalize(self.items, dim=1).t()).float()


def shrunk_weights(likeness: Tensor, shrink: float) -> Tensor:
    """(B, slots) weights of (B, slots) likeness: softmax, hard-shrunk at `shrink`, scaled to sum to 1 or 0."""
    softmax = torch.softmax(likeness, dim=1)
    above = softmax - shrink
    shrunk = torch.relu(above) * softmax / (above.abs() + _TINY)
    return shrunk / shrunk.sum(1, keepdim=True).clamp_min(_TINY)
