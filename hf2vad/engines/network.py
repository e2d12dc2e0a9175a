"""What all engines but eager have in common: a built network, beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf2vad.bundle.probe import ProbeCubes
from hf2vad.engines.eager import BatchEngine, EagerEngine, Precision, numerics
from hf2vad.engines.spec import TOLERANCE, EngineSpec, check_precision
from hf2vad.errors import EngineError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inference import Inference
from hf2vad.models.inputs import CubeTensors, cube_tensors
from hf2vad.models.memory_grow import capacities
from hf2vad.schema import F32

Run = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""As `Inference.forward`."""

SMALL = 1e-3
"""An error below this share of the probe cubes' mean is compared as if it were so large."""


@dataclass(frozen=True)
class Material:
    """What an engine is built from, and compared with."""

    model: HF2VAD
    """In evaluation mode, on `device`."""
    probe: ProbeCubes
    """At least one cube."""
    device: torch.device
    batch: int
    precision: Precision

    def __post_init__(self) -> None:
        check_precision(self.precision, self.device.type)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """`batch` cubes for the network: the probe's, over and over."""
        rows = np.arange(self.batch) % len(self.probe)
        found = cube_tensors(self.probe.appearance[rows], self.probe.flow[rows], self.device)
        return found.context, found.flows, found.target

    def network(self) -> Inference:
        """The form of the network that is built, with room for twice the slots that the probe cubes keep."""
        flows = cube_tensors(None, self.probe.flow, self.device).flows
        with torch.inference_mode(), numerics("fp32"):
            memories = self.model.reconstruct(flows).memories
        kept = {level: int(read.slots_kept) for level, read in memories.items()}
        network = Inference(self.model, capacities(kept, self.model.config.slots), batch=self.batch)
        if self.precision in ("bf16", "fp16"):
            network = network.to(torch.bfloat16 if self.precision == "bf16" else torch.float16)
        return network


class NetworkEngine(BatchEngine):
    """Runs a built network, and gives a batch that keeps more slots than it can read to the reference."""

    def __init__(self, run: Run, material: Material) -> None:
        super().__init__(material.device, material.batch)
        self._run, self._precision = run, material.precision
        self._eager = EagerEngine(material.model, device=material.device, batch=material.batch)
        self.overflows = 0
        """Batches that were given to the reference."""

    def errors(self, inputs: CubeTensors) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(), numerics(self._precision):
            s_flow, s_frame, missed = self._run(inputs.context, inputs.flows, inputs.target)
            if int(missed) == 0:
                return s_flow, s_frame
        self.overflows += 1
        return self._eager.errors(inputs)


def check_parity(engine: NetworkEngine, material: Material, spec: EngineSpec) -> float:
    """The largest relative difference from eager on the probe cubes, in S_r or S_p.

    Raises EngineError when it is beyond the tolerance of the engine's numbers, or not a number.
    """
    probe = material.probe
    eager = EagerEngine(material.model, device=material.device, batch=min(material.batch, len(probe)))
    expected = eager.score(probe.appearance, probe.flow)
    found = engine.score(probe.appearance, probe.flow)
    worst = max(_difference(found.s_flow, expected.s_flow), _difference(found.s_frame, expected.s_frame))
    allowed = TOLERANCE[spec.precision]
    if not worst <= allowed:
        raise EngineError(
            f"engine {spec.label} differs from eager by {worst:.1e} on the bundle's probe cubes, and {allowed:.0e} is "
            "allowed: build it again (jobs/build_engine.py --force), take another --precision, or --engine eager"
        )
    return worst


def _difference(found: F32, expected: F32) -> float:
    scale = np.maximum(np.abs(expected), SMALL * np.abs(expected).mean())
    return float((np.abs(found - expected) / np.maximum(scale, np.finfo(np.float32).tiny)).max())
