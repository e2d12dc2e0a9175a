"""Validity of a built engine: one bundle, one kind of device, one set of versions."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hf2vad
from hf2vad.engines.settings import EngineSpec
from hf2vad.hashes import hash_of
from hf2vad.models.settings import NETWORKS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device as engines see it, with the software around it: where a built one is good."""

    device: str
    """Model of the processor, or name of the GPU."""
    ability: str
    """Instruction set, or compute capability."""
    threads: int
    """CPU threads of the network; 0 on a GPU."""
    versions: tuple[tuple[str, str], ...]
    """Name and version of each package that compiles or runs engines."""

    @property
    def gpu(self) -> bool:
        return self.threads == 0


@dataclass(frozen=True)
class Choice:
    """An engine, and why it is the one."""

    spec: EngineSpec
    target: Target
    """Device and versions that the choice is valid for."""
    why: str


def this_target(device: torch.device) -> Target:
    """Target of engines that run on `device` in this process."""
    import torch  # not for whoever is only told of a target

    versions = [("hf2vad", hf2vad.__version__), ("torch", str(torch.__version__)), ("system", platform.system())]
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        versions += [("cuda", str(torch.version.cuda)), ("tensorrt", _version("tensorrt"))]
        name = torch.cuda.get_device_name(device)
        return Target(device=name, ability=f"{major}.{minor}", threads=0, versions=tuple(versions))
    return Target(
        device=_processor(),
        ability=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        threads=torch.get_num_threads(),
        versions=tuple(versions),
    )


def engine_key(spec: EngineSpec, bundle_id: str, target: Target, *, batch: int) -> str:
    """16 hex digits that say where a package of this engine may be used.

    Which networks it holds is part of it where they are not both.
    """
    networks = [spec.networks] if spec.networks != NETWORKS else []
    return hash_of(spec.name, bundle_id, asdict(target), spec.precision, batch, *networks)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
