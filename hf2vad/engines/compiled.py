"""Engine `compiled`: the inference form through torch.compile, in this process; on a GPU as a CUDA graph."""

from __future__ import annotations

import shutil
from typing import Any

import torch

from hf2vad.engines.eager import numerics
from hf2vad.engines.network import EngineInputs, NetworkEngine, Run
from hf2vad.errors import EngineError


def inductor_options(device: torch.device) -> dict[str, Any]:
    """Inductor's options for a device. On the CPU, weights are laid out for the convolutions once, at build time."""
    return {"freezing": True} if device.type == "cpu" else {}


def no_compiler() -> str:
    """Why nothing can be compiled here; empty where it can."""
    from torch._inductor import config as inductor  # 76 MiB that a driver, or an eager worker, has no use for

    wanted = inductor.cpp.cxx if isinstance(inductor.cpp.cxx, tuple) else (inductor.cpp.cxx,)
    names = [name for name in wanted if name]
    if any(shutil.which(name) for name in names):
        return ""
    return f"no C++ compiler ({', '.join(names)}) on this machine; install g++ (apt-get install g++), or set CXX"


def require_compiler(what: str) -> None:
    """Raise EngineError when `what` cannot be built for want of a compiler."""
    if reason := no_compiler():
        raise EngineError(f"engine {what} cannot be built: {reason}; or use --engine eager")


def compile_network(inputs: EngineInputs) -> Run:
    """The network, compiled for batches of one size; takes a minute or more on a CPU."""
    require_compiler("compiled")
    options = inductor_options(inputs.device)
    if inputs.device.type == "cuda":
        options["triton.cudagraphs"] = True
    run: Run = torch.compile(inputs.network(), dynamic=False, options=options)
    with torch.inference_mode(), numerics(inputs.precision):
        for _ in range(3 if inputs.device.type == "cuda" else 1):  # a CUDA graph is recorded after it has run once
            run(*inputs.tensors())
    return run


def compiled_engine(inputs: EngineInputs) -> NetworkEngine:
    """Compile the network and be ready to run it."""
    return NetworkEngine(compile_network(inputs), inputs)
