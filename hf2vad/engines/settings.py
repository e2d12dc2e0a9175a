"""Engine settings: name, numeric precision, networks, and the folder of packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf2vad.errors import ConfigError
from hf2vad.models.settings import NETWORKS, Network

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Numbers that the networks compute with. Errors are summed in fp32 whatever it is."""

EngineName = Literal["eager", "compiled", "aot", "tensorrt"]
EngineChoice = Literal["auto", "eager", "compiled", "aot", "tensorrt"]
PACKAGED: tuple[EngineName, ...] = ("tensorrt", "aot")
"""Engines that are built once and kept as a file, the faster first."""
FOLDER = "engines"
"""Where packages are by default: in a folder of this name in the bundle."""

TOLERANCE: dict[Precision, float] = {"fp32": 1e-5, "tf32": 2e-3, "fp16": 1e-2, "bf16": 3e-2}
"""Largest relative difference from eager in S_r and S_p of a probe cube. The fp32 bound is the promise; the others
allow a few times the rounding of their 10, 10 and 7 bits of mantissa: 2⁻¹¹, 2⁻¹¹ and 2⁻⁸."""


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """An engine, as it travels to the workers."""

    name: EngineName
    precision: Precision = "fp32"
    cache: str = ""
    """URI of the folder of packages; empty for engines without."""
    networks: tuple[Network, ...] = NETWORKS
    """The networks that run: those that measured features need, in the order of NETWORKS. Empty: no engine is made."""

    def __post_init__(self) -> None:
        if self.name == "eager" and self.precision != "fp32":
            raise ConfigError(f"--engine eager is the reference and computes in fp32, not {self.precision}")

    @property
    def label(self) -> str:
        """Name of the engine in tables and records: `aot fp32`; `none` where no network runs."""
        return f"{self.name} {self.precision}" if self.networks else "none"


def check_precision(precision: Precision, device_type: str) -> None:
    """Raise ConfigError for numbers that a device does not have."""
    if precision in ("tf32", "fp16") and device_type != "cuda":
        raise ConfigError(f"--precision {precision} needs a GPU; on {device_type} give fp32 or bf16")
