"""The engine that `--engine auto` selects for a device."""

from __future__ import annotations

from dataclasses import replace

import torch

from hf2vad.engines.compiled import no_compiler
from hf2vad.engines.package import Package
from hf2vad.engines.settings import PACKAGED, EngineChoice, EngineSpec, Precision, check_precision
from hf2vad.engines.target import Choice, this_target
from hf2vad.models.settings import Network


def choose_engine(
    wanted: EngineChoice,
    *,
    precision: Precision,
    cache: str,
    networks: tuple[Network, ...],
    bundle_id: str,
    device: torch.device,
    batch: int,
) -> Choice:
    """The engine that runs `networks` on `device`.

    For `auto`: a package that fits; else `compiled` on a GPU; else `eager`. Nothing is built or loaded. Raises
    ConfigError for a precision that the device does not have.
    """
    check_precision(precision, device.type)
    target = this_target(device)
    if wanted != "auto":
        spec = EngineSpec(name=wanted, precision=precision, cache=cache, networks=networks)
        return Choice(spec, target, "as --engine says")
    spec = EngineSpec(name="compiled", precision=precision, cache=cache, networks=networks)
    for name in PACKAGED:
        packaged = replace(spec, name=name)
        if Package(packaged, bundle_id, target, batch).exists():
            return Choice(packaged, target, f"its package in {cache} fits this device, these versions and this batch")
    if device.type == "cuda":
        reason = no_compiler()
        if not reason:
            return Choice(spec, target, "there is a GPU, and no package that fits it")
        return Choice(replace(spec, name="eager", precision="fp32"), target, reason)
    eager = replace(spec, name="eager", precision="fp32")
    hint = "no package fits this processor, these versions and this batch; hf2vad build-engine makes one that is faster"
    return Choice(eager, target, hint)
