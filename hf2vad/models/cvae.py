"""The conditional VAE that predicts the next frame under guidance of reconstructed flow (paper §3.2).

After the Variational U-Net (Esser et al. 2018): two encoders of four stages, 32² to 4²; latents at 4² and 8²; a decoder
with skips from the encoder that sees the frames. Fφ below encodes frames and flow (posterior), Eθ flow alone (prior).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hf2vad.models.settings import ModelConfig

GROUPS = 4
"""Autoregressive groups of the 8² prior: the four phases of a 2×2 block."""


@dataclass(frozen=True)
class Prediction:
    """Output of the CVAE for a batch of cubes."""

    frame: Tensor
    """(B, 3, 32, 32) in [0, 1]."""
    posterior: list[Tensor]
    """Means of q at 4² and 8²: (B, C, 4, 4) and (B, C, 8, 8)."""
    prior: list[Tensor]
    """Means of p, like `posterior`; empty when the prior was not run."""


class NormConv(nn.Module):
    """A weight-normalised convolution with a learned gain and offset per output channel."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, kernel)
        self.stride, self.padding = stride, kernel // 2
        self.direction = nn.Parameter(plain.weight.detach().clone())
        self.length = nn.Parameter(plain.weight.detach().flatten(1).norm(dim=1).view(-1, 1, 1, 1))
        self.bias = nn.Parameter(plain.bias.detach().clone())  # type: ignore[union-attr]
        self.gain = nn.Parameter(torch.ones(1, outputs, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        norm = self.direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        weight = self.direction * (self.length / norm)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding) * self.gain + self.offset


class Residual(nn.Module):
    """ELU, dropout and a 3×3 convolution, added to the input; a skip is mixed in through ELU and a 1×1 convolution."""

    def __init__(self, width: int, *, skip: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.mix = NormConv(width, width, 1) if skip else None
        self.conv = NormConv(2 * width if skip else width, width, 3)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        inner = x
        if self.mix is not None:
            assert skip is not None
            inner = torch.cat([x, self.mix(F.elu(skip))], dim=1)
        result: Tensor = self.conv(self.dropout(F.elu(inner)))
        return x + result


class Grow(nn.Module):
    """Twice the size: a 3×3 convolution to four times the channels, then depth to space."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = NormConv(inputs, 4 * outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(self.conv(x))


def depth_to_space(x: Tensor) -> Tensor:
    """(B, 4C, H, W) → (B, C, 2H, 2W), block-major: channel `block · C + c` is pixel (block // 2, block % 2)."""
    b, depth, h, w = x.shape
    blocks = x.view(b, 2, 2, depth // 4, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(b, depth // 4, 2 * h, 2 * w)


def space_to_depth(x: Tensor) -> Tensor:
    """The inverse of `depth_to_space`."""
    b, c, h, w = x.shape
    blocks = x.view(b, c, h // 2, 2, w // 2, 2)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(b, 4 * c, h // 2, w // 2)


class Encoder(nn.Module):
    """Four stages of two residual blocks, 32² to 4²."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int], dropout: float) -> None:
        super().__init__()
        self.stem = NormConv(inputs, widths[0], 1)
        self.first = nn.ModuleList(Residual(width, skip=False, dropout=dropout) for width in widths)
        self.second = nn.ModuleList(Residual(width, skip=False, dropout=dropout) for width in widths)
        self.downs = nn.ModuleList(NormConv(a, b, 3, stride=2) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The output of both blocks of each stage, from 32² down to 4²."""
        x = self.stem(x)
        stages = []
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            if i:
                x = self.downs[i - 1](x)
            middle = first(x)
            x = second(middle)
            stages.append((middle, x))
        return stages


class Posterior(nn.Module):
    """Means of q at 4² and 8², top-down from Fφ's features."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.stem = NormConv(width, width, 1)
        self.mean4 = Residual(width, skip=True, dropout=dropout)
        self.join = NormConv(2 * width, width, 1)
        self.absorb = Residual(width, skip=True, dropout=dropout)
        self.grow = Grow(width, width)
        self.mean8 = Residual(width, skip=True, dropout=dropout)

    def forward(self, encoded: list[tuple[Tensor, Tensor]], *, sample: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Means and latents at 4² and 8²; a latent is its mean plus unit noise if `sample`, else its mean."""
        second8, (first4, second4) = encoded[2][1], encoded[3]
        mean4 = self.mean4(self.stem(second4), second4)
        z4 = _latent(mean4, sample)
        features = self.absorb(mean4, self.join(torch.cat([first4, z4], dim=1)))
        mean8 = self.mean8(self.grow(features), second8)
        return [mean4, mean8], [z4, _latent(mean8, sample)]


def _latent(mean: Tensor, sample: bool) -> Tensor:
    return mean + torch.randn_like(mean) if sample else mean


class Generator(nn.Module):
    """Joins latents with Eθ's features at 4² and 8² on the way up; on that way are the means of the prior p."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.stem = NormConv(width, width, 1)
        self.enter = nn.ModuleList(Residual(width, skip=True, dropout=dropout) for _ in range(2))
        self.join = nn.ModuleList(NormConv(2 * width, width, 1) for _ in range(2))
        self.absorb = nn.ModuleList(Residual(width, skip=True, dropout=dropout) for _ in range(2))
        self.grow = Grow(width, width)
        self.prior = AutoregressivePrior(width, dropout)

    def forward(
        self, encoded: list[tuple[Tensor, Tensor]], latents: list[Tensor], *, prior: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """(B, C, 8, 8) features for the decoder, and the means of p at 4² and 8² if `prior` is wanted."""
        means: list[Tensor] = []
        features = self.stem(encoded[3][1])
        for scale, (first, second) in enumerate((encoded[3], encoded[2])):
            features = self.enter[scale](features, second)
            if prior:
                means.append(features if scale == 0 else self.prior(features, latents[scale]))
            joined = self.join[scale](torch.cat([first, latents[scale]], dim=1))
            features = self.absorb[scale](features, joined)
            if scale == 0:
                features = self.grow(features)
        return features, means


class AutoregressivePrior(nn.Module):
    """Mean of p at 8²: four groups, the phases of each 2×2 block, each given the latents of the ones before."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = Residual(width, skip=False, dropout=dropout)
        self.reduce = NormConv(4 * width, width, 1)
        self.steps = nn.ModuleList(Residual(width, skip=True, dropout=dropout) for _ in range(GROUPS - 1))

    def forward(self, features: Tensor, latent: Tensor) -> Tensor:
        given = space_to_depth(latent).chunk(GROUPS, dim=1)
        means = [self.reduce(space_to_depth(self.first(features)))]
        for step, known in zip(self.steps, given, strict=False):
            means.append(step(means[-1], known))
        return depth_to_space(torch.cat(means, dim=1))


class Decoder(nn.Module):
    """Decoder from 8² features to the frame, with skips from Fφ at 16² and 32²."""

    def __init__(self, widths: tuple[int, int, int, int], dropout: float) -> None:
        super().__init__()
        self.grow = nn.ModuleList([Grow(widths[2], widths[1]), Grow(widths[1], widths[0])])
        self.outer = nn.ModuleList(Residual(width, skip=True, dropout=dropout) for width in (widths[1], widths[0]))
        self.inner = nn.ModuleList(Residual(width, skip=True, dropout=dropout) for width in (widths[1], widths[0]))
        self.head = NormConv(widths[0], 3, 1)

    def forward(self, features: Tensor, encoded: list[tuple[Tensor, Tensor]]) -> Tensor:
        for scale, (first, second) in enumerate((encoded[1], encoded[0])):
            features = self.outer[scale](self.grow[scale](features), second)
            features = self.inner[scale](features, first)
        return torch.sigmoid(self.head(features))


class CVAE(nn.Module):
    """Predicts the next frame from four frames, guided by their flow."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        guide = 0 if config.condition == "none" else 8
        widths, latent = config.cvae_widths, config.cvae_widths[-1]
        self.frame_encoder = Encoder(12 + guide, widths, config.dropout)
        self.guide_encoder = Encoder(guide or 12, widths, config.dropout)
        self.posterior = Posterior(latent, config.dropout)
        self.generator = Generator(latent, config.dropout)
        self.decoder = Decoder(widths, config.dropout)

    def forward(self, context: Tensor, guide: Tensor | None, *, sample: bool, prior: bool) -> Prediction:
        """Predict from (B, 12, 32, 32) frames and (B, 8, 32, 32) flows (none: the frames guide themselves).

        `sample`: draw the latents (training) instead of using their means (testing). `prior`: run the branch that only
        the divergence needs.
        """
        encoded = self.frame_encoder(context if guide is None else torch.cat([context, guide], dim=1))
        means, latents = self.posterior(encoded, sample=sample)
        features, prior_means = self.generator(
            self.guide_encoder(context if guide is None else guide), latents, prior=prior
        )
        return Prediction(self.decoder(features, encoded), means, prior_means)
