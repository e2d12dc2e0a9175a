"""Engine `aot`: the inference form, compiled once by AOTInductor into a package that other processes load."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hf2vad.engines.compiled import inductor_options, require_compiler
from hf2vad.engines.eager import numerics
from hf2vad.engines.network import Material, NetworkEngine, Run
from hf2vad.errors import EngineError


def export_network(material: Material, *, dynamic: bool = False) -> torch.export.ExportedProgram:
    """The network as one graph of operators, for batches of `material.batch`; `dynamic`: of 1 to so many."""
    shapes = None
    if dynamic:
        rows = {0: torch.export.Dim("batch", min=1, max=max(2, material.batch))}
        shapes = {"context": rows, "flows": rows, "target": rows}
    with torch.no_grad():
        return torch.export.export(material.network(), material.inputs(), dynamic_shapes=shapes)


def build_aot(material: Material, path: Path) -> None:
    """Compile a package to `path`, which ends in .pt2. Raises EngineError where there is no compiler."""
    require_compiler("aot")
    with torch.no_grad(), numerics(material.precision):
        torch._inductor.aoti_compile_and_package(
            export_network(material), package_path=str(path), inductor_configs=inductor_options(material.device)
        )


def load_aot(path: Path, material: Material) -> NetworkEngine:
    """Load the package at `path`. This executes code that is in it. Raises EngineError when it cannot be loaded."""
    try:
        run: Run = torch._inductor.aoti_load_package(str(path))
    except (RuntimeError, OSError) as error:
        raise EngineError(f"{path.name}: cannot be loaded ({error}); build it again (jobs/build_engine.py)") from None
    return NetworkEngine(CudaGraph(run, material) if material.device.type == "cuda" else run, material)


class CudaGraph:
    """A recording of one run on a GPU, played again for every batch: the kernels start without Python."""

    def __init__(self, run: Run, material: Material) -> None:
        self._inputs = material.inputs()
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(material.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(material.device))
        with torch.inference_mode(), numerics(material.precision):
            with torch.cuda.stream(stream):
                for _ in range(3):  # what is allocated or tuned at first must not be recorded
                    run(*self._inputs)
            torch.cuda.current_stream(material.device).wait_stream(stream)
            with torch.cuda.graph(self._graph):
                self._outputs = run(*self._inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()
        return self._outputs
