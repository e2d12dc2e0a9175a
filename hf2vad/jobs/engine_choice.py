"""Asking a worker which engine to use."""

from __future__ import annotations

from hf2vad.cluster.dispatch import Call, Dispatcher
from hf2vad.engines.package import FOLDER
from hf2vad.errors import DispatchError
from hf2vad.storage import absolute, join
from hf2vad.tasks.engine import EngineRequest, ReadyEngine, ready_engine


def cache_of(bundle_uri: str, engine_cache: str) -> str:
    """Where packages are: at --engine-cache, or in the bundle."""
    return absolute(engine_cache) if engine_cache else join(bundle_uri, FOLDER)


def engine_of_worker(request: EngineRequest, dispatcher: Dispatcher) -> ReadyEngine:
    """The engine that a worker chooses, and builds where it has to (`ready_engine`).

    Raises EngineError or ConfigError when it cannot run there, DispatchError when the worker died.
    """
    dispatcher.submit(Call(ready_engine, (request,), None))
    outcome = dispatcher.wait()
    if outcome.failure is not None:
        raise DispatchError(f"the engine could not be chosen: {outcome.failure}")
    ready: ReadyEngine = outcome.value
    return ready
