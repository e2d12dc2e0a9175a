"""Engines: what runs the networks over cubes. `eager` is the reference that the others are compared with."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hf2vad.engines.settings import Precision
from hf2vad.errors import ConfigError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.models.settings import NETWORKS, ModelConfig, Network
from hf2vad.schema import F16, F32, U8

NetworkErrors = Mapping[Network, F32]
"""(B,) float32 for each network that ran: `flow` has S_r, `frame` has S_p (paper §3.3)."""


class Engine(Protocol):
    """Runs the networks that features need."""

    @property
    def batch(self) -> int:
        """Cubes that it works on at once; more or fewer are accepted, but this many are used best."""

    @property
    def reads_pixels(self) -> bool:
        """True if `errors` reads pixels."""

    def errors(self, appearance: U8 | None, flow: F16) -> NetworkErrors:
        """Errors of (B, 5, 32, 32, 3) pixels and (B, 4, 32, 32, 2) flow."""


class BatchEngine(ABC):
    """Works on batches of one size, the last filled up with its first cube: what a cube scores does not depend on how
    many are scored beside it."""

    def __init__(self, config: ModelConfig, device: torch.device, batch: int, networks: Sequence[Network]) -> None:
        if batch < 1:
            raise ConfigError(f"--batch must be at least 1, got {batch}")
        self.device, self.batch, self.networks = device, batch, tuple(networks)
        self.reads_pixels = config.reads_pixels(networks)

    @abstractmethod
    def batch_errors(self, inputs: CubeTensors) -> tuple[Tensor, ...]:
        """The errors of each of `networks`, (batch,) float32, of `batch` cubes on the engine's device."""

    def errors(self, appearance: U8 | None, flow: F16) -> NetworkErrors:
        pixels = appearance if self.reads_pixels else None
        parts = [
            self._part(None if pixels is None else pixels[start : start + self.batch], flow[start : start + self.batch])
            for start in range(0, len(flow), self.batch)
        ]
        empty = [np.empty(0, np.float32)]
        columns = (
            [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else empty * len(self.networks)
        )
        return dict(zip(self.networks, columns, strict=True))

    def _part(self, appearance: U8 | None, flow: F16) -> list[F32]:
        count = len(flow)
        if count < self.batch:
            filled = np.minimum(np.arange(self.batch), count) % count
            appearance, flow = None if appearance is None else appearance[filled], flow[filled]
        errors = self.batch_errors(cube_tensors(appearance, flow, self.device))
        return [error[:count].cpu().numpy() for error in errors]


class EagerEngine(BatchEngine):
    """PyTorch as it is, in fp32."""

    def __init__(
        self, model: HF2VAD, *, device: torch.device, batch: int, networks: Sequence[Network] = NETWORKS
    ) -> None:
        super().__init__(model.config, device, batch, networks)
        self._model = model.to(device).eval()

    def batch_errors(self, inputs: CubeTensors) -> tuple[Tensor, ...]:
        with numerics("fp32"):
            return self._model.errors(inputs, self.networks)


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
