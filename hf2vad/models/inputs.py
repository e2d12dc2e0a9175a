"""Network inputs from the bytes of a cube."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hf2vad.errors import ShapeError
from hf2vad.models.settings import FlowInput
from hf2vad.schema import APPEARANCE_SHAPE, F16, FLOW_SHAPE, U8


@dataclass(frozen=True)
class CubeTensors:
    """A batch of cubes; channels are time-major: frame by frame, flow by flow."""

    context: Tensor
    """(B, 12, 32, 32) float32 in [0, 1]: the four frames before the one that is predicted, BGR."""
    flows: Tensor
    """(B, 8, 32, 32) float32: the four flows, (dx, dy)."""
    target: Tensor
    """(B, 3, 32, 32) float32 in [0, 1]: the frame that is predicted."""

    def flow_input(self, kind: FlowInput) -> Tensor:
        """Input of the flow network: (4B, 2, 32, 32), each flow alone, or (B, 15, 32, 32), the five frames."""
        if kind == "frames":
            return torch.cat([self.context, self.target], dim=1)
        return self.flows.reshape(-1, 2, *self.flows.shape[2:])


def cube_tensors(appearance: U8 | Tensor | None, flow: F16 | Tensor, device: torch.device) -> CubeTensors:
    """Tensors on `device` for (B, 5, 32, 32, 3) pixels and (B, 4, 32, 32, 2) flow; no pixels: frames of no channel.

    Pixels and flow are arrays, or uint8 and float16 tensors on any device.

    Raises ShapeError for any other shape.
    """
    b = len(flow)
    if flow.shape[1:] != FLOW_SHAPE or (appearance is not None and appearance.shape != (b, *APPEARANCE_SHAPE)):
        shapes = f"appearance {None if appearance is None else appearance.shape}, flow {flow.shape}"
        raise ShapeError(f"a cube is {APPEARANCE_SHAPE} pixels and {FLOW_SHAPE} flow, got {shapes}")
    flows = _tensor(flow).to(device).float().permute(0, 1, 4, 2, 3).reshape(b, 8, 32, 32)
    if appearance is None:
        empty = flows.new_empty(b, 0, 32, 32)
        return CubeTensors(empty, flows, empty)
    pixels = _tensor(appearance).to(device).permute(0, 1, 4, 2, 3).float() / 255
    return CubeTensors(pixels[:, :4].reshape(b, 12, 32, 32), flows, pixels[:, 4].contiguous())


def _tensor(values: U8 | F16 | Tensor) -> Tensor:
    return values if isinstance(values, Tensor) else torch.tensor(values)
