"""The engine that scoring uses, chosen by a worker of the cluster that will run it."""

from __future__ import annotations

from hf2vad.cluster.dispatch import Call, Cluster
from hf2vad.engines.request import EngineAnswer, EngineRequest, answer_here
from hf2vad.errors import DispatchError


def ask_for_engine(request: EngineRequest, cluster: Cluster) -> EngineAnswer:
    """Let a worker choose the engine, and build the package of a named one that is not there yet.

    Raises EngineError or ConfigError when it cannot run there, DispatchError when the worker died.
    """
    cluster.submit(Call(answer_here, (request,), None))
    outcome = cluster.wait()
    if outcome.failure is not None:
        raise DispatchError(f"the engine could not be chosen: {outcome.failure}")
    answer: EngineAnswer = outcome.value
    return answer
