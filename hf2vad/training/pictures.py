"""Examples of what the network makes of cubes, as pictures to look at while it learns."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.schema import F32, U8
from hf2vad.training.stages import StageName

EXAMPLES = 8
"""Cubes in a picture, one a column."""
GAP = 2
"""White pixels between crops."""


@torch.no_grad()
def example_picture(model: HF2VAD, inputs: CubeTensors, stage: StageName) -> U8:
    """A grid (H, W, 3) RGB of the first cubes of a batch: what was given above what the network makes of it.

    Flow stage: the last flow, its direction as hue and its length as saturation, and its reconstruction. Frame stage:
    the frame and its prediction. Joint stage: all four rows. The network is left as it was, its random state too.
    """
    some = CubeTensors(*(part[:EXAMPLES] for part in (inputs.context, inputs.flows, inputs.target)))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        rebuilt = model.reconstruct(some.flows).flow.float()
        rows: list[F32] = []
        if stage != "frame":
            longest = float(some.flows[:, -2:].square().sum(1).amax().sqrt()) or 1.0
            rows += [_flow_colours(flows[:, -2:].cpu(), longest) for flows in (some.flows, rebuilt)]
        if stage != "flow":
            frame = model.predict(some, rebuilt, sample=False, prior=False).frame.float()
            rows += [_rgb(some.target), _rgb(frame)]
    finally:
        for module, training in modes.items():
            module.training = training
    return _grid(rows)


def _rgb(frames: Tensor) -> F32:
    """(B, 32, 32, 3) RGB from (B, 3, 32, 32) BGR, both in [0, 1]."""
    pixels: F32 = frames.flip(1).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def _flow_colours(flow: Tensor, longest: float) -> F32:
    """(B, 32, 32, 3) from (B, 2, 32, 32): white where nothing moves, one hue for each direction."""
    dx, dy = flow[:, 0].numpy(), flow[:, 1].numpy()
    angle = np.arctan2(dy, dx)[..., None] + np.array([0, 2, 4]) * np.pi / 3
    length = np.clip(np.hypot(dx, dy) / longest, 0, 1)[..., None]
    colours: F32 = (1 - length * (0.5 - 0.5 * np.cos(angle))).astype(np.float32)
    return colours


def _grid(rows: list[F32]) -> U8:
    """Rows of crops, with white between them."""
    padded = [np.pad(row, ((0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=1) for row in rows]
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in padded], axis=0)
    pixels: U8 = (grid.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels
