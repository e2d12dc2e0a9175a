"""An engine made, from a package where there is one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hf2vad.bundle.bundle import Bundle
from hf2vad.engines.aot import build_aot, load_aot
from hf2vad.engines.compiled import compiled_engine
from hf2vad.engines.eager import EagerEngine, Engine
from hf2vad.engines.network import EngineInputs, NetworkEngine, check_parity
from hf2vad.engines.package import SUFFIX, Package
from hf2vad.engines.settings import PACKAGED, EngineName, EngineSpec
from hf2vad.engines.target import this_target
from hf2vad.engines.tensorrt import build_tensorrt, load_tensorrt

BUILD: dict[EngineName, Callable[[EngineInputs, Path], None]] = {"aot": build_aot, "tensorrt": build_tensorrt}
LOAD: dict[EngineName, Callable[[Path, EngineInputs], NetworkEngine]] = {"aot": load_aot, "tensorrt": load_tensorrt}


def make_engine(spec: EngineSpec, bundle: Bundle, *, device: torch.device, batch: int) -> Engine:
    """The engine that `spec` describes, for at least one network of `bundle`; a missing package is built.

    Raises EngineError when it cannot be built here, was changed, or does not give what eager gives.
    """
    model = bundle.build(device)
    if spec.name == "eager":
        return EagerEngine(model, device=device, batch=batch, networks=spec.networks)
    inputs = EngineInputs(model, bundle.probe.or_noise(), device, batch, spec.precision, spec.networks)
    if spec.name in PACKAGED:
        package = Package(spec, bundle.id, this_target(device), batch)
        if not package.exists():
            build_package(package, inputs)
        with tempfile.TemporaryDirectory(prefix="hf2vad-engine-") as folder:
            engine = LOAD[spec.name](package.fetch(Path(folder)), inputs)
    else:
        engine = compiled_engine(inputs)
    check_parity(engine, inputs, spec)
    return engine


def build_package(package: Package, inputs: EngineInputs) -> dict[str, Any]:
    """Build a package, check it, and put it; returns what its JSON says."""
    name, started = package.spec.name, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hf2vad-engine-") as folder:
        path = Path(folder) / f"{name}{SUFFIX[name]}"
        BUILD[name](inputs, path)
        seconds = time.monotonic() - started
        difference = check_parity(LOAD[name](path, inputs), inputs, package.spec)
        return package.put(path, {"seconds": round(seconds, 1), "difference": difference})
