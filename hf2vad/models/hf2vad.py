"""HF²-VAD: flow reconstruction and flow-guided frame prediction in one network (paper §3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hf2vad.models.cvae import CVAE, Prediction
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.memae import FlowAutoencoder, Reconstruction
from hf2vad.models.settings import NETWORKS, ModelConfig, Network
from hf2vad.schema import FLOWS


class HF2VAD(nn.Module):
    """ML-MemAE-SC and CVAE."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.flow_autoencoder = FlowAutoencoder(config)
        self.cvae = CVAE(config)

    def reconstruct(self, flows: Tensor) -> Reconstruction:
        """Reconstruct the four flows of each cube, (B, 8, 32, 32), in one batch of 4B."""
        reconstruction = self.flow_autoencoder(flows.reshape(-1, 2, *flows.shape[2:]))
        return Reconstruction(reconstruction.flow.reshape(flows.shape), reconstruction.memories)

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
        not read for the flow network alone. `flow`: S_r, as `ModelConfig.flow_error` says; `frame`: S_p. A network that
        no error needs does not run. Deterministic in evaluation mode: every latent is its mean, and the prior does not
        run.
        """
        guided = "frame" in networks and self.config.condition == "reconstructed"
        reconstruction = self.reconstruct(flows).flow if "flow" in networks or guided else flows
        errors: list[Tensor] = []
        for network in networks:
            if network == "flow":
                errors.append(flow_error((reconstruction.float() - flows.float()).square(), self.config))
            else:
                inputs = CubeTensors(context, flows, target)
                frame = self.predict(inputs, reconstruction, sample=False, prior=False).frame
                errors.append((frame.float() - target.float()).square().flatten(1).sum(1))
        return tuple(errors)

    @torch.inference_mode()
    def errors(self, inputs: CubeTensors, networks: Sequence[Network] = NETWORKS) -> tuple[Tensor, ...]:
        """`forward` without gradients. The network must be in evaluation mode."""
        errors: tuple[Tensor, ...] = self(inputs.context, inputs.flows, inputs.target, networks)
        return errors


def flow_error(squares: Tensor, config: ModelConfig) -> Tensor:
    """(B,) S_r of (B, 8, …) squared errors, or sums of them, as `config.flow_error` says."""
    if config.flow_error == "sum":
        return squares.flatten(1).sum(1)
    each = squares.reshape(squares.shape[0], FLOWS, -1).sum(2).sort(dim=1).values
    return FLOWS * (each[:, 0] if config.flow_error == "min" else each[:, 1:3].mean(1))
