"""Engine `aot`: the inference form, compiled once by AOTInductor into a package that other processes load."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hf2vad.engines.compiled import inductor_options, require_compiler
from hf2vad.engines.eager import numerics
from hf2vad.engines.network import EngineInputs, NetworkEngine, Run
from hf2vad.errors import EngineError


def export_network(inputs: EngineInputs, *, dynamic: bool = False) -> torch.export.ExportedProgram:
    """The networks as one graph of operators, for batches of `inputs.batch`; `dynamic`: of 1 to so many."""
    tensors = inputs.tensors()
    rows = {0: torch.export.Dim("batch", min=1, max=max(2, inputs.batch))}
    with torch.no_grad():
        return torch.export.export(
            inputs.network(), tensors, dynamic_shapes=(rows,) * len(tensors) if dynamic else None
        )


def build_aot(inputs: EngineInputs, path: Path) -> None:
    """Compile a package to `path`, which ends in .pt2. Raises EngineError where there is no compiler."""
    require_compiler("aot")
    with torch.no_grad(), numerics(inputs.precision):
        torch._inductor.aoti_compile_and_package(
            export_network(inputs), package_path=str(path), inductor_configs=inductor_options(inputs.device)
        )


def load_aot(path: Path, inputs: EngineInputs) -> NetworkEngine:
    """Load the package at `path`. This executes code that is in it. Raises EngineError when it cannot be loaded."""
    try:
        run: Run = torch._inductor.aoti_load_package(str(path))
    except (RuntimeError, OSError) as error:
        raise EngineError(f"{path.name}: cannot be loaded ({error}); build it again (hf2vad build-engine)") from None
    return NetworkEngine(CudaGraph(run, inputs) if inputs.device.type == "cuda" else run, inputs)


class CudaGraph:
    """A recording of one run on a GPU, played again for every batch: the kernels start without Python."""

    def __init__(self, run: Run, inputs: EngineInputs) -> None:
        self._inputs = inputs.tensors()
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(inputs.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(inputs.device))
        with torch.inference_mode(), numerics(inputs.precision):
            with torch.cuda.stream(stream):
                for _ in range(3):  # what is allocated or tuned at first must not be recorded
                    run(*self._inputs)
            torch.cuda.current_stream(inputs.device).wait_stream(stream)
            with torch.cuda.graph(self._graph):
                self._outputs = run(*self._inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()
        return self._outputs
