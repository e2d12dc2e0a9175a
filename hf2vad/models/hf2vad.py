"""HF²-VAD: flow reconstruction and flow-guided frame prediction in one network (paper §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hf2vad.models.cvae import CVAE, Prediction
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.memae import FlowAutoencoder, Reconstruction
from hf2vad.models.settings import NETWORKS, ModelConfig, Network, is_of, networks_of
from hf2vad.schema import FLOWS, SIZE

CELL = 4
"""Pixels along a side of the cells whose median error counts with `frame_residual = median`."""


class HF2VAD(nn.Module):
    """ML-MemAE-SC and CVAE."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.flow_autoencoder = FlowAutoencoder(config)
        self.cvae = CVAE(config)

    def load_networks(self, weights: Mapping[str, Tensor]) -> tuple[Network, ...]:
        """Set the weights of the networks that `weights` are of, and return which; the others stay as they are.

        Raises RuntimeError for weights of networks of another shape, and for none.
        """
        networks = networks_of(weights)
        kept = {name: value for name, value in self.state_dict().items() if not is_of(name, networks)}
        self.load_state_dict({**(kept if networks else {}), **weights})
        return networks

    def reconstruct(self, inputs: CubeTensors) -> Reconstruction:
        """(B, 8, 32, 32): the flows of each cube, reconstructed in one batch of 4B or predicted from its frames."""
        reconstruction = self.flow_autoencoder(inputs.flow_input(self.config.flow_input))
        return Reconstruction(reconstruction.flow.reshape(inputs.flows.shape), reconstruction.memories)

    def predict(self, inputs: CubeTensors, reconstruction: Tensor, *, sample: bool, prior: bool) -> Prediction:
        """Predict the next frame, guided as the configuration says."""
        guides = {"reconstructed": reconstruction, "observed": inputs.flows, "none": None}
        prediction: Prediction = self.cvae(inputs.context, guides[self.config.condition], sample=sample, prior=prior)
        return prediction

    def forward(
        self, context: Tensor, flows: Tensor, target: Tensor, networks: Sequence[Network] = NETWORKS
    ) -> tuple[Tensor, ...]:
        """Error of each of `networks` (paper §3.3), each (B,) float32: sums of squares, larger is less normal.

        context: (B, 12, 32, 32), flows: (B, 8, 32, 32), target: (B, 3, 32, 32), as `CubeTensors` has them; frames are
        read as `ModelConfig.reads_pixels` says. `flow`: S_r, as `ModelConfig.flow_error` and `flow_residual` say;
        `frame`: S_p, as `ModelConfig.frame_residual` says. A network that no error needs does not run. Deterministic in
        evaluation mode: every latent is its mean, and the prior does not run.
        """
        guided = "frame" in networks and self.config.condition == "reconstructed"
        inputs = CubeTensors(context, flows, target)
        reconstruction = self.reconstruct(inputs).flow if "flow" in networks or guided else flows
        errors: list[Tensor] = []
        for network in networks:
            if network == "flow":
                errors.append(flow_error(reconstruction.float() - flows.float(), self.config))
            else:
                frame = self.predict(inputs, reconstruction, sample=False, prior=False).frame
                squares = (frame.float() - target.float()).square()
                whole = self.config.frame_residual == "pixels"
                errors.append(squares.flatten(1).sum(1) if whole else median_of_cells(squares))
        return tuple(errors)

    def weights_of(self, networks: Sequence[Network]) -> dict[str, np.ndarray[Any, Any]]:
        """The state of these networks alone."""
        return {name: value.cpu().numpy() for name, value in self.state_dict().items() if is_of(name, networks)}

    @torch.inference_mode()
    def errors(self, inputs: CubeTensors, networks: Sequence[Network] = NETWORKS) -> tuple[Tensor, ...]:
        """`forward` without gradients. The network must be in evaluation mode."""
        errors: tuple[Tensor, ...] = self(inputs.context, inputs.flows, inputs.target, networks)
        return errors


def flow_error(residual: Tensor, config: ModelConfig) -> Tensor:
    """(B,) S_r of (B, 8, 32, 32) differences from the flows, as `config.flow_residual` and `config.flow_error` say."""
    return sum_of_flows(residual_squares(residual, config), config)


def sum_of_flows(squares: Tensor, config: ModelConfig) -> Tensor:
    """(B,) S_r of (B, 8, …) squares, or sums of them, as `config.flow_error` says."""
    if config.flow_error == "sum":
        return squares.flatten(1).sum(1)
    each = squares.reshape(squares.shape[0], FLOWS, -1).sum(2).sort(dim=1).values
    return FLOWS * (each[:, 0] if config.flow_error == "min" else each[:, 1:3].mean(1))


def residual_squares(residual: Tensor, config: ModelConfig) -> Tensor:
    """(B, 8, …) squares of (B, 8, 32, 32) residuals, or of their means as `config.flow_residual` says."""
    if config.flow_residual == "pixels":
        return residual.square()
    parts = 1 if config.flow_residual == "mean" else 2
    side = SIZE // parts
    # Row by row: a compiler adds up one long row in order, which costs a digit.
    means = residual.reshape(len(residual), 2 * FLOWS, parts, side, parts, side).mean(5).mean(3)
    return means.square() * side**2


def median_of_cells(squares: Tensor) -> Tensor:
    """(B,) medians over cells of 4×4 pixels of (B, C, 32, 32) squares, each cell's added up, times the number of cells.

    So many equal squares give the same as their sum.
    """
    side = SIZE // CELL
    cells = squares.reshape(len(squares), -1, side, CELL, side, CELL).sum(5).sum(3).sum(1).flatten(1)
    middle = cells.shape[1] // 2
    return cells.sort(dim=1).values[:, middle - 1 : middle + 1].mean(1) * side**2
