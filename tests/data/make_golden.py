"""Writes golden.npz: what the compact network answers to fixed weights and cubes.

Run it from the checkout, only when a change of the answers is intended: python -m tests.data.make_golden
The answers it pins were those of a network that reproduced ../shared/data/release_golden.npz.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.models.settings import ModelConfig
from hf2vad.presets import PRESETS

GOLDEN = Path(__file__).with_name("golden.npz")
CUBES = 4


def fixed_weights(model: HF2VAD, seed: int = 0) -> dict[str, Tensor]:
    """A value for every entry of the state dict that depends on its name, its shape and the seed alone."""
    weights = {}
    for name, old in model.state_dict().items():
        rng, shape = np.random.default_rng([zlib.crc32(name.encode()), seed]), tuple(old.shape)
        if name.endswith("num_batches_tracked"):
            value = np.ones(shape)
        elif name.endswith(("bias", "offset", "running_mean")):
            value = rng.normal(0, 0.1, shape)
        elif name.endswith(("gain", "length")):  # small enough for frames that are neither black nor white
            value = rng.uniform(0.7, 1.2, shape)
        elif name.endswith("running_var") or len(shape) == 1:
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("items"):  # large enough for what is read to depend on the query
            value = 10 * rng.uniform(-1, 1, shape) / np.sqrt(shape[1])
        else:
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        weights[name] = torch.tensor(value, dtype=old.dtype)
    return weights


def golden_network(config: ModelConfig = PRESETS["compact_eq9"].model) -> HF2VAD:
    """A network with those weights, in evaluation mode."""
    model = HF2VAD(config)
    model.load_state_dict(fixed_weights(model))
    return model.eval()


def golden_cubes(count: int = CUBES, seed: int = 0) -> CubeTensors:
    """Cubes of noise around one colour and one motion each."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(40, 200, (count, 1, 1, 1, 3)) + rng.normal(0, 15, (count, 5, 32, 32, 3))
    flow = rng.normal(0, 2, (count, 1, 1, 1, 2)) + rng.normal(0, 0.5, (count, 4, 32, 32, 2))
    return cube_tensors(pixels.clip(0, 255).astype(np.uint8), flow.astype(np.float16), torch.device("cpu"))


def answers(model: HF2VAD, inputs: CubeTensors) -> dict[str, Tensor]:
    """Both errors of each cube, and every eighth pixel of both outputs."""
    with torch.no_grad():
        flow = model.reconstruct(inputs).flow
        frame = model.predict(inputs, flow, sample=False, prior=False).frame
        s_flow, s_frame = model(inputs.context, inputs.flows, inputs.target)
    return {"S_r": s_flow, "S_p": s_frame, "flow": flow[:, :, 3::8, 3::8], "frame": frame[:, :, 3::8, 3::8]}


if __name__ == "__main__":
    found = {name: value.numpy() for name, value in answers(golden_network(), golden_cubes()).items()}
    np.savez_compressed(GOLDEN, **found)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes; S_r {found['S_r']}, S_p {found['S_p']}")
