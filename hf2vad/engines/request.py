"""The choice of an engine, made and built where it will run: in a worker with the resources of scoring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf2vad.bundle.bundle import same_bundle
from hf2vad.engines.settings import FOLDER, PACKAGED, EngineChoice, Precision
from hf2vad.models.settings import Network
from hf2vad.storage import absolute, join

if TYPE_CHECKING:
    from hf2vad.engines.target import Choice


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """Requested engine and its bundle. Travels to a worker."""

    bundle_uri: str
    bundle_id: str
    wanted: EngineChoice
    precision: Precision
    cache: str
    networks: tuple[Network, ...]
    """Networks that are to run; at least one."""
    batch: int
    device: str
    threads: int
    force: bool = False
    """Build a package even where there is one."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickling imports torch: it happens in workers alone, in those too that only get ready for a call, so that
        they import it at the same time and not one after the other."""
        import torch  # noqa: F401

        self.__dict__.update(state)


@dataclass(frozen=True)
class EngineAnswer:
    """The engine to use."""

    choice: Choice
    built: dict[str, Any] | None
    """JSON of the package if it was built by this call."""


def cache_of(bundle_uri: str, engine_cache: str) -> str:
    """Folder of engine packages: --engine-cache, or a folder in the bundle."""
    return absolute(engine_cache) if engine_cache else join(bundle_uri, FOLDER)


def answer_here(request: EngineRequest) -> EngineAnswer:
    """Choose the engine on this machine, and build the package of a named one that is not there yet.

    Raises EngineError or ConfigError when it cannot run here, MismatchError for a bundle that changed.
    """
    import torch  # here and not above: the process that asks has no use for it

    from hf2vad.engines.choose import choose_engine
    from hf2vad.engines.make import build_package
    from hf2vad.engines.network import EngineInputs
    from hf2vad.engines.package import Package
    from hf2vad.models.device import choose_device

    torch.set_num_threads(request.threads)
    device = choose_device(request.device)
    choice = choose_engine(
        request.wanted,
        precision=request.precision,
        cache=request.cache,
        networks=request.networks,
        bundle_id=request.bundle_id,
        device=device,
        batch=request.batch,
    )
    if choice.spec.name not in PACKAGED:
        return EngineAnswer(choice, None)
    package = Package(choice.spec, request.bundle_id, choice.target, request.batch)
    if package.exists() and not request.force:
        return EngineAnswer(choice, None)
    bundle = same_bundle(request.bundle_uri, request.bundle_id)
    inputs = EngineInputs(
        bundle.build(device), bundle.probe.or_noise(), device, request.batch, choice.spec.precision, request.networks
    )
    return EngineAnswer(replace(choice, why="built just now"), build_package(package, inputs))
