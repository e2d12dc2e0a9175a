"""ML-MemAE-SC: a flow autoencoder with memories at several levels and skip connections (paper §3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hf2vad.models.memory import Addressing, Memory
from hf2vad.models.settings import FlowInput, Level, ModelConfig
from hf2vad.schema import FLOWS, FRAMES, SIZE

CHANNELS: Mapping[FlowInput, tuple[int, int]] = {"flow": (2, 2), "frames": (3 * FRAMES, 2 * FLOWS)}
"""Channels that go into the flow network, and that come out."""


@dataclass(frozen=True)
class Reconstruction:
    """Output of the autoencoder for a batch."""

    flow: Tensor
    """(B, 2, 32, 32), or (B, 8, 32, 32) where it predicts the four flows of a cube from its frames."""
    memories: dict[Level, Addressing]
    """Addressing weights of each memory."""


class ConvBlocks(nn.Sequential):
    """Twice a 3×3 convolution, BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class Down(nn.Sequential):
    """Half the size, more channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), ConvBlocks(outputs, outputs))


class Up(nn.Module):
    """Twice the size, half the channels; with `skip`, joined with the encoder's features of that size."""

    def __init__(self, inputs: int, outputs: int, *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.grow = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.blocks = ConvBlocks(2 * outputs if skip else outputs, outputs)

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        grown = self.grow(features)
        result: Tensor = self.blocks(torch.cat([encoded, grown], dim=1) if self.skip else grown)
        return result


class FlowAutoencoder(nn.Module):
    """Reconstructs one flow field at a time; the four flows of a cube pass through the same weights.

    With `flow_input = frames` it predicts the four flows from the five frames at once.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        root = config.flow_root
        inputs, outputs = CHANNELS[config.flow_input]
        self.stem = ConvBlocks(inputs, root)
        self.down1 = Down(root, 2 * root)
        self.down2 = Down(2 * root, 4 * root)
        self.down3 = Down(4 * root, 8 * root)
        self.up3 = Up(8 * root, 4 * root, skip="up3" in config.skips)
        self.up2 = Up(4 * root, 2 * root, skip="up2" in config.skips)
        self.up1 = Up(2 * root, root, skip="up1" in config.skips)
        self.head = nn.Conv2d(root, outputs, 1)
        self.pooling = config.flow_pooling
        side = SIZE // self.pooling
        sizes: dict[Level, int] = {
            "bottleneck": 8 * root * (side // 8) ** 2,
            "up3": 4 * root * (side // 4) ** 2,
            "up2": 2 * root * (side // 2) ** 2,
        }
        sharpness = config.sharpness if config.addressing == "cosine" else None
        self.memories = nn.ModuleDict(
            {
                level: Memory(config.slots, size, shrink=config.shrink_threshold, sharpness=sharpness)
                for level, size in sizes.items()
                if level in config.memories
            }
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, given: Tensor) -> Reconstruction:
        """Reconstruct (B, 2, 32, 32) flow, or predict (B, 8, 32, 32) flows from (B, 15, 32, 32) frames."""
        x0 = self.stem(pooled(given, self.pooling))
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        memories: dict[Level, Addressing] = {}
        features = self._remember("bottleneck", self.down3(x2), memories)
        features = self._remember("up3", self.up3(features, x2), memories)
        features = self._remember("up2", self.up2(features, x1), memories)
        return Reconstruction(spread(self.head(self.up1(features, x0)), self.pooling), memories)

    def _remember(self, level: Level, features: Tensor, memories: dict[Level, Addressing]) -> Tensor:
        if level not in self.memories:
            return features
        read: Tensor
        read, memories[level] = self.memories[level](features)
        return read


def pooled(maps: Tensor, cell: int) -> Tensor:
    """(B, C, H, W) maps as the means of their cells of `cell` × `cell` pixels."""
    return maps if cell == 1 else F.avg_pool2d(maps, cell)


def spread(means: Tensor, cell: int) -> Tensor:
    """Maps whose cells of `cell` × `cell` pixels have these values throughout."""
    return means if cell == 1 else F.interpolate(means, scale_factor=cell, mode="nearest")
