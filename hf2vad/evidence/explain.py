"""The networks' reconstruction and prediction of the cube that an event is shown by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hf2vad.evidence.cube import Cube, Explanation
from hf2vad.models.hf2vad import HF2VAD, residual_squares
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.settings import Network
from hf2vad.schema import F32, FLOWS, SIZE


@torch.inference_mode()
def explain(model: HF2VAD, cube: Cube, networks: Sequence[Network]) -> Explanation:
    """A cube with its reconstruction and prediction by `networks` of a model in evaluation mode, on the processor."""
    inputs = cube_tensors(cube.appearance, cube.flow, torch.device("cpu"))
    flows = _flow_fields(inputs.flows)
    reconstruction = model.reconstruct(inputs).flow
    rebuilt = _flow_fields(reconstruction)
    rank = {"sum": 3, "min": 0, "median": 2}[model.config.flow_error]
    squares = residual_squares(reconstruction.float() - inputs.flows, model.config)
    number = int(squares.reshape(FLOWS, -1).sum(1).argsort(stable=True)[rank])
    predicted = None
    if "frame" in networks:
        frame = model.predict(inputs, reconstruction, sample=False, prior=False).frame
        predicted = frame[0].float().permute(1, 2, 0).cpu().numpy() * 255
    errors = {name: error.cpu().numpy() for name, error in zip(networks, model.errors(inputs, networks), strict=True)}
    return Explanation(cube.appearance[0, -1], predicted, flows[number], rebuilt[number], number, errors)


def _flow_fields(flows: Tensor) -> F32:
    """(4, 32, 32, 2) for (1, 8, 32, 32)."""
    return np.asarray(flows.float().reshape(FLOWS, 2, SIZE, SIZE).permute(0, 2, 3, 1).cpu().numpy(), np.float32)
