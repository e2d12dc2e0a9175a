"""Shared parts of every engine but eager: built networks that run beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf2vad.bundle.kept import ProbeCubes
from hf2vad.engines.eager import BatchEngine, EagerEngine, numerics
from hf2vad.engines.settings import TOLERANCE, EngineSpec, Precision, check_precision
from hf2vad.errors import EngineError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inference import FlowInference, Inference
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.models.memory_grow import capacities
from hf2vad.models.settings import NETWORKS, Network
from hf2vad.schema import F32

Run = Callable[..., tuple[Tensor, ...]]
"""Runs built networks: `Inference.forward`, or `FlowInference.forward` where the flow network alone is built."""

SMALL = 1e-3
"""An error below this share of the probe cubes' mean is compared as if it were so large."""


@dataclass(frozen=True)
class EngineInputs:
    """Inputs that an engine is built from and compared on."""

    model: HF2VAD
    """Network in evaluation mode, on `device`."""
    probe: ProbeCubes
    """At least one cube."""
    device: torch.device
    batch: int
    """Cubes that it will work on at once."""
    precision: Precision
    networks: tuple[Network, ...] = NETWORKS
    """Networks to build: both, or the flow network alone."""

    def __post_init__(self) -> None:
        check_precision(self.precision, self.device.type)

    def tensors(self) -> tuple[Tensor, ...]:
        """`batch` cubes for the built networks: the probe's, over and over."""
        rows = np.arange(self.batch) % len(self.probe)
        return self.given(cube_tensors(self.probe.appearance[rows], self.probe.flow[rows], self.device))

    def given(self, cubes: CubeTensors) -> tuple[Tensor, ...]:
        """Tensors of `cubes` that the built networks take."""
        if "frame" in self.networks:
            return cubes.context, cubes.flows, cubes.target
        return (cubes.flows, cubes.context, cubes.target) if self._reads_pixels else (cubes.flows,)

    @property
    def _reads_pixels(self) -> bool:
        return self.model.config.reads_pixels(self.networks)

    def network(self) -> Inference | FlowInference:
        """The form of the networks that is built, with room for twice the slots that the probe cubes keep."""
        appearance = self.probe.appearance if self._reads_pixels else None
        cubes = cube_tensors(appearance, self.probe.flow, self.device)
        with torch.inference_mode(), numerics("fp32"):
            memories = self.model.reconstruct(cubes).memories
        kept = {level: int(read.slots_kept) for level, read in memories.items()}
        form = Inference if "frame" in self.networks else FlowInference
        network = form(self.model, capacities(kept, self.model.config.slots), batch=self.batch)
        if self.precision in ("bf16", "fp16"):
            network = network.to(torch.bfloat16 if self.precision == "bf16" else torch.float16)
        return network


class NetworkEngine(BatchEngine):
    """Runs built networks, and gives a batch that keeps more slots than they can read to the reference."""

    def __init__(self, run: Run, inputs: EngineInputs) -> None:
        super().__init__(inputs.model.config, inputs.device, inputs.batch, inputs.networks)
        self._run, self._inputs = run, inputs
        self._eager = EagerEngine(inputs.model, device=inputs.device, batch=inputs.batch, networks=inputs.networks)
        self.overflows = 0
        """Batches that were given to the reference."""

    def batch_errors(self, inputs: CubeTensors) -> tuple[Tensor, ...]:
        with torch.inference_mode(), numerics(self._inputs.precision):
            *errors, missed = self._run(*self._inputs.given(inputs))
            if int(missed) == 0:
                return tuple(errors)
        self.overflows += 1
        return self._eager.batch_errors(inputs)


def check_parity(engine: NetworkEngine, inputs: EngineInputs, spec: EngineSpec) -> float:
    """The largest relative difference from eager on the probe cubes, in the errors of any network.

    Raises EngineError when it is beyond the tolerance of the engine's numbers, or not a number.
    """
    probe, batch = inputs.probe, min(inputs.batch, len(inputs.probe))
    eager = EagerEngine(inputs.model, device=inputs.device, batch=batch, networks=inputs.networks)
    expected = eager.errors(probe.appearance, probe.flow)
    errors = engine.errors(probe.appearance, probe.flow)
    worst = max(_difference(errors[network], expected[network]) for network in inputs.networks)
    allowed = TOLERANCE[spec.precision]
    if not worst <= allowed:
        raise EngineError(
            f"engine {spec.label} differs from eager by {worst:.1e} on the bundle's probe cubes, and {allowed:.0e} is "
            "allowed: build it again (hf2vad build-engine --force), take another --precision, or --engine eager"
        )
    return worst


def _difference(errors: F32, expected: F32) -> float:
    scale = np.maximum(np.abs(expected), SMALL * np.abs(expected).mean())
    return float((np.abs(errors - expected) / np.maximum(scale, np.finfo(np.float32).tiny)).max())
