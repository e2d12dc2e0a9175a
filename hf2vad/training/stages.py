"""The training stages: which parameters learn, from which loss (paper §4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.losses import Loss, flow_loss, frame_loss, joint_loss
from hf2vad.models.settings import NETWORKS, LossConfig, Network

StageName = Literal["flow", "frame", "joint"]


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    name: StageName
    loss: Callable[[HF2VAD, CubeTensors, LossConfig, Tensor | None], Loss]
    """The last argument: reconstructions of these flows that are known already."""
    networks: tuple[Network, ...]
    """Networks that the loss is of; pixels are read where these need them."""
    frozen_flow: bool = False
    """True if the flow autoencoder does not change, so that its reconstructions can be kept."""

    def learner(self, model: HF2VAD) -> nn.Module:
        """The part of `model` whose parameters this stage changes; all others are frozen, in evaluation mode."""
        parts: dict[StageName, nn.Module] = {"flow": model.flow_autoencoder, "frame": model.cvae, "joint": model}
        return parts[self.name]

    def parameters(self, model: HF2VAD) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and value of every parameter that this stage changes, in a fixed order."""
        chosen = {id(p) for p in self.learner(model).parameters()}
        return ((name, p) for name, p in model.named_parameters() if id(p) in chosen)

    def prepare(self, model: HF2VAD) -> None:
        """Freeze what this stage does not train."""
        model.requires_grad_(False).eval()
        self.learner(model).requires_grad_(True).train()


def _flow(model: HF2VAD, inputs: CubeTensors, config: LossConfig, _: Tensor | None) -> Loss:
    return flow_loss(model, inputs, config)


def _frame(model: HF2VAD, inputs: CubeTensors, config: LossConfig, known: Tensor | None) -> Loss:
    loss = frame_loss(model, inputs, config, known)
    return Loss(loss.total, loss.terms, {})  # slots of a frozen memory tell nothing


def _joint(model: HF2VAD, inputs: CubeTensors, config: LossConfig, _: Tensor | None) -> Loss:
    return joint_loss(model, inputs, config)


STAGES: dict[StageName, Stage] = {
    "flow": Stage("flow", _flow, ("flow",)),
    "frame": Stage("frame", _frame, ("frame",), frozen_flow=True),
    "joint": Stage("joint", _joint, NETWORKS),
}
