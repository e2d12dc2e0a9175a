"""The network in the form that scores fastest: the same function as `HF2VAD.forward`, with less to compute.

The prior is left out, BatchNorm and weight normalisation are folded into plain convolutions, and memories are read
as `memory_grow.py` says. All of it is exact but for rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hf2vad.models.cvae import NormConv
from hf2vad.models.hf2vad import HF2VAD, median_of_cells, residual_squares, sum_of_flows
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.memae import Up, pooled, spread
from hf2vad.models.memory import Memory
from hf2vad.models.memory_grow import MemoryGrow, memory_grow
from hf2vad.models.settings import Level
from hf2vad.schema import FLOWS


class Inference(nn.Module):
    """Output of `HF2VAD.forward` with both networks, and whether a memory kept more slots than could be read."""

    def __init__(self, model: HF2VAD, capacity: Mapping[Level, int] | None = None, *, batch: int = 1) -> None:
        """Copy what scoring needs of a network on the CPU, which stays as it is.

        `capacity`: the most slots that a batch may keep of a memory; one that is not named is read whole. `batch`:
        cubes that it will work on at once, which decides in which order memories are read and grown.
        """
        super().__init__()
        self.config = model.config
        self.autoencoder = InferenceAutoencoder(model, capacity or {}, batch=batch)
        self.cvae = copy.deepcopy(model.cvae)
        del self.cvae.generator.prior
        _fold_norms(self.cvae)
        self.requires_grad_(False).eval()

    def forward(self, context: Tensor, flows: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S_r and S_p, each (B,) float32, of (B, 12, 32, 32) frames, (B, 8, 32, 32) flows and (B, 3, 32, 32) target.

        Third: () int64, the slots that were kept and could not be read; above 0 scores are wrong. Inputs are float32
        whatever the network's own numbers are.
        """
        reconstruction, s_flow, missed = self.autoencoder.errors(CubeTensors(context, flows, target))
        numbers = reconstruction.dtype
        guides = {"reconstructed": reconstruction, "observed": flows.to(numbers), "none": None}
        frame = self.cvae(context.to(numbers), guides[self.config.condition], sample=False, prior=False).frame
        squares = (frame.float() - target.float()).square()
        whole = self.config.frame_residual == "pixels"
        s_frame = _plane_sums(squares).sum(1) if whole else median_of_cells(squares)
        return s_flow, s_frame, missed


class FlowInference(nn.Module):
    """The flow network alone, in the same form."""

    def __init__(self, model: HF2VAD, capacity: Mapping[Level, int] | None = None, *, batch: int = 1) -> None:
        """Copy the flow network of `model`; the arguments are those of `Inference`."""
        super().__init__()
        self.config = model.config
        self.autoencoder = InferenceAutoencoder(model, capacity or {}, batch=batch)
        self.requires_grad_(False).eval()

    def forward(
        self, flows: Tensor, context: Tensor | None = None, target: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """S_r, (B,) float32, of (B, 8, 32, 32) float32 flows; and the slots that could not be read, () int64.

        context, target: the frames, as in `Inference.forward`, for a flow network that reads them.
        """
        none = flows[:, :0]
        cubes = CubeTensors(none if context is None else context, flows, none if target is None else target)
        _, s_flow, missed = self.autoencoder.errors(cubes)
        return s_flow, missed


class InferenceAutoencoder(nn.Module):
    """ML-MemAE-SC: each memory together with the layer that grows what is read from it."""

    def __init__(self, model: HF2VAD, capacity: Mapping[Level, int], *, batch: int) -> None:
        super().__init__()
        self.config = model.config
        trained = model.flow_autoencoder
        queries = batch if model.config.flow_input == "frames" else FLOWS * batch
        self.stem = _folded(trained.stem)
        self.downs = nn.ModuleList(
            nn.Sequential(copy.deepcopy(down[0]), *_folded(down[1]))
            for down in (trained.down1, trained.down2, trained.down3)
        )
        ups: dict[Level, Up] = {"bottleneck": trained.up3, "up3": trained.up2, "up2": trained.up1}
        self.grows = nn.ModuleList(
            memory_grow(
                cast(Memory, trained.memories[level]), up.grow, capacity=capacity.get(level, 0), queries=queries
            )
            if level in trained.memories
            else copy.deepcopy(up.grow)
            for level, up in ups.items()
        )
        self.blocks = nn.ModuleList(_folded(up.blocks) for up in ups.values())
        self.skips = tuple(up.skip for up in ups.values())
        self.head = copy.deepcopy(trained.head)

    def errors(self, cubes: CubeTensors) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction of the flows, (B, 8, 32, 32), S_r (B,) float32, and what `forward` gives second."""
        found, missed = self(cubes.flow_input(self.config.flow_input).to(self.head.weight.dtype))
        reconstruction = found.reshape(cubes.flows.shape)
        squares = residual_squares(reconstruction.float() - cubes.flows.float(), self.config)
        return reconstruction, sum_of_flows(_plane_sums(squares), self.config), missed

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the outputs of `FlowAutoencoder`, and the number of kept slots that could not be read, () int64."""
        levels = [self.stem(pooled(given, self.config.flow_pooling))]
        for down in self.downs:
            levels.append(down(levels[-1]))
        features = levels.pop()
        missed = torch.zeros((), dtype=torch.int64, device=given.device)
        for grow, blocks, skip in zip(self.grows, self.blocks, self.skips, strict=True):
            if isinstance(grow, MemoryGrow):
                grown, more = grow(features)
                missed = missed + more
            else:
                grown = grow(features)
            encoded = levels.pop()
            features = blocks(torch.cat([encoded, grown], dim=1) if skip else grown)
        return spread(self.head(features), self.config.flow_pooling), missed


def _plane_sums(squares: Tensor) -> Tensor:
    """(B, C) sums of (B, C, H, W), row by row: a compiler adds up one long row in order, which costs a digit."""
    return squares.sum(3).sum(2)


def _folded(blocks: nn.Module) -> nn.Sequential:
    """Convolutions with the BatchNorm behind each folded into it, in float64; other layers as they are."""
    layers: list[nn.Module] = []
    for layer in blocks.children():
        if isinstance(layer, nn.BatchNorm2d):
            conv = layers.pop()
            assert isinstance(conv, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(conv.double().eval(), copy.deepcopy(layer).double().eval()).float())
        else:
            layers.append(copy.deepcopy(layer))
    return nn.Sequential(*layers)


def _fold_norms(module: nn.Module) -> None:
    """Put a plain convolution in place of every weight-normalised one below `module`."""
    for name, child in module.named_children():
        if isinstance(child, NormConv):
            setattr(module, name, _plain(child))
        else:
            _fold_norms(child)


def _plain(conv: NormConv) -> nn.Conv2d:
    direction = conv.direction.detach().double()
    outputs, inputs, kernel, _ = direction.shape
    norm = direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    gain = conv.gain.detach().double().view(-1, 1, 1, 1)
    weight = direction * (conv.length.detach().double() / norm) * gain
    bias = conv.bias.detach().double() * gain.flatten() + conv.offset.detach().double().flatten()
    plain = nn.Conv2d(inputs, outputs, kernel, stride=conv.stride, padding=conv.padding)
    plain.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return plain
