"""Engines: what runs the network over cubes. `eager` is the reference; the others are in `engines/`."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from hf2vad.errors import ConfigError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.schema import F16, F32, U8

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Numbers that the network computes with. Errors are summed in fp32 whatever it is."""


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


class BatchEngine(ABC):
    """Works on batches of one size, the last filled up with its first cube: what a cube scores does not depend on how
    many are scored beside it."""

    def __init__(self, device: torch.device, batch: int) -> None:
        if batch < 1:
            raise ConfigError(f"--batch must be at least 1, got {batch}")
        self.device, self.batch = device, batch

    @abstractmethod
    def errors(self, inputs: CubeTensors) -> tuple[Tensor, Tensor]:
        """S_r and S_p, each (batch,) float32, of `batch` cubes on the engine's device."""

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
        s_flow, s_frame = self.errors(cube_tensors(appearance, flow, self.device))
        return CubeScores(s_flow[:count].cpu().numpy(), s_frame[:count].cpu().numpy())


class EagerEngine(BatchEngine):
    """PyTorch as it is, in fp32."""

    def __init__(self, model: HF2VAD, *, device: torch.device, batch: int) -> None:
        super().__init__(device, batch)
        self._model = model.to(device).eval()

    def errors(self, inputs: CubeTensors) -> tuple[Tensor, Tensor]:
        with numerics("fp32"):
            return self._model.errors(inputs)


@contextlib.contextmanager
def numerics(precision: Precision) -> Iterator[None]:
    """Let a GPU multiply fp32 matrices in TF32, for `tf32`, or not: PyTorch's own default is TF32 in convolutions."""
    if not torch.cuda.is_available():
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
