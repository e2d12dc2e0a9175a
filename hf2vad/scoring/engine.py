"""Engines: what runs the network over cubes. `eager` is the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from hf2vad.errors import ConfigError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.schema import F16, F32, U8

EngineName = Literal["eager"]


@dataclass(frozen=True)
class CubeScores:
    """The errors of some cubes (paper §3.3)."""

    s_flow: F32
    """(B,): S_r, squared error of the reconstructed flows, summed over the cube."""
    s_frame: F32
    """(B,): S_p, squared error of the predicted frame, summed over the crop."""


class Engine(Protocol):
    """Runs the network."""

    @property
    def batch(self) -> int:
        """Cubes that it works on at once; more or fewer are accepted, but this many are used best."""

    def score(self, appearance: U8, flow: F16) -> CubeScores:
        """Errors of (B, 5, 32, 32, 3) pixels and (B, 4, 32, 32, 2) flow."""


class EagerEngine:
    """PyTorch as it is. Batches have one size, the last is filled up with its first cube: what a cube scores does not
    depend on how many are scored beside it."""

    def __init__(self, model: HF2VAD, *, device: torch.device, batch: int) -> None:
        if batch < 1:
            raise ConfigError(f"--batch must be at least 1, got {batch}")
        self._model, self._device, self.batch = model.to(device).eval(), device, batch

    def score(self, appearance: U8, flow: F16) -> CubeScores:
        parts = [
            self._score_batch(appearance[start : start + self.batch], flow[start : start + self.batch])
            for start in range(0, len(flow), self.batch)
        ]
        if not parts:
            return CubeScores(np.empty(0, np.float32), np.empty(0, np.float32))
        return CubeScores(np.concatenate([p.s_flow for p in parts]), np.concatenate([p.s_frame for p in parts]))

    def _score_batch(self, appearance: U8, flow: F16) -> CubeScores:
        count = len(flow)
        if count < self.batch:
            filled = np.minimum(np.arange(self.batch), count) % count
            appearance, flow = appearance[filled], flow[filled]
        s_flow, s_frame = self._model.errors(cube_tensors(appearance, flow, self._device))
        return CubeScores(s_flow[:count].cpu().numpy(), s_frame[:count].cpu().numpy())


def make_engine(name: EngineName, model: HF2VAD, *, device: torch.device, batch: int) -> Engine:
    """The engine called `name`."""
    return {"eager": EagerEngine}[name](model, device=device, batch=batch)


def flow_speed(flow: F16) -> F32:
    """(B,): how fast a cube moves: the median over its four flows of each pixel's speed, averaged over the crop.

    The yardstick without learning (METHOD §9), in the flow's units.
    """
    vectors = flow.astype(np.float32)
    speed = np.sqrt(np.square(vectors).sum(axis=-1))
    return np.asarray(np.median(speed, axis=1).mean(axis=(1, 2)), np.float32)
