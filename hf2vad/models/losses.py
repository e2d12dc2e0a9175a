"""The losses of the three stages (paper Eq. 2, 3, 6, 7, 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hf2vad.models.cvae import Prediction
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.memae import Reconstruction
from hf2vad.models.settings import LossConfig


@dataclass(frozen=True)
class Loss:
    """A loss and what it is made of."""

    total: Tensor
    """(): what is minimised."""
    terms: dict[str, Tensor]
    """Each term without its weight, detached."""
    slots_kept: dict[str, Tensor]
    """Slots that survive the shrinkage, by memory."""


def flow_loss(model: HF2VAD, inputs: CubeTensors, config: LossConfig) -> Loss:
    """Stage 1: reconstruct the last flow of each cube (Eq. 3; METHOD: the last flow alone)."""
    last = inputs.flows[:, -2:]
    reconstruction = model.flow_autoencoder(last)
    total, terms = _flow_terms(reconstruction, last, config)
    return Loss(total, terms, _kept(reconstruction))


def frame_loss(model: HF2VAD, inputs: CubeTensors, config: LossConfig, reconstruction: Tensor | None = None) -> Loss:
    """Stage 2: predict the frame under guidance of the frozen autoencoder's reconstructions (Eq. 8).

    `reconstruction`: what `model.reconstruct` gave for these flows before; none: it is computed here.
    """
    kept: dict[str, Tensor] = {}
    if reconstruction is None:
        with torch.no_grad():
            computed = model.reconstruct(inputs.flows)
        reconstruction, kept = computed.flow, _kept(computed)
    prediction = model.predict(inputs, reconstruction, sample=True, prior=True)
    total, terms = _frame_terms(prediction, inputs.target, config)
    return Loss(total, terms, kept)


def joint_loss(model: HF2VAD, inputs: CubeTensors, config: LossConfig) -> Loss:
    """Stage 3: both, through all four flows."""
    reconstruction = model.reconstruct(inputs.flows)
    flow_total, flow_terms = _flow_terms(reconstruction, inputs.flows, config)
    prediction = model.predict(inputs, reconstruction.flow, sample=True, prior=True)
    frame_total, frame_terms = _frame_terms(prediction, inputs.target, config)
    return Loss(flow_total + frame_total, {**flow_terms, **frame_terms}, _kept(reconstruction))


def _flow_terms(reconstruction: Reconstruction, target: Tensor, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    error = F.mse_loss(reconstruction.flow.float(), target)
    entropy = sum((read.entropy for read in reconstruction.memories.values()), error.new_zeros(()))
    total = config.flow * error + config.entropy * entropy
    return total, {"flow": error.detach(), "entropy": entropy.detach()}


def _frame_terms(prediction: Prediction, target: Tensor, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    frame = prediction.frame.float()
    error = F.mse_loss(frame, target)
    divergence = kl_divergence(prediction.posterior, prediction.prior)
    if config.kl_scale == "eq6":
        divergence = divergence / target[0].numel()
    gradient = gradient_difference(frame, target, form=config.gradient_form)
    total = config.frame * error + config.kl * divergence + config.gradient * gradient
    return total, {"frame": error.detach(), "kl": divergence.detach(), "gradient": gradient.detach()}


def kl_divergence(posterior: list[Tensor], prior: list[Tensor]) -> Tensor:
    """Eq. 6's divergence of unit-variance Gaussians: ½‖μq − μp‖², summed over scales, averaged over cubes."""
    scales = [
        0.5 * (q.float() - p.float()).square().flatten(1).sum(1).mean() for q, p in zip(posterior, prior, strict=True)
    ]
    return torch.stack(scales).sum()


def gradient_difference(frame: Tensor, target: Tensor, *, form: Literal["eq7", "published"] = "eq7") -> Tensor:
    """Eq. 7: mean distance of neighbouring pixels' absolute differences from the target's, per channel and axis.

    `published`: differences are summed over the channels before their absolute value is taken (METHOD §3), which is
    the same as Eq. 7 of the summed image.
    """
    if form == "published":
        frame, target = frame.sum(1, keepdim=True), target.sum(1, keepdim=True)
    across = (_steps(frame, -1) - _steps(target, -1)).abs().mean()
    down = (_steps(frame, -2) - _steps(target, -2)).abs().mean()
    return across + down


def _steps(image: Tensor, axis: int) -> Tensor:
    return image.diff(dim=axis).abs()


def _kept(reconstruction: Reconstruction) -> dict[str, Tensor]:
    kept: Mapping[str, Tensor] = {level: read.slots_kept for level, read in reconstruction.memories.items()}
    return dict(kept)
