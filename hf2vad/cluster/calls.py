"""Calls that are no walk: many in order, as many at once as a cluster takes, or the one that chooses an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hf2vad.cluster.dispatch import Call, Cluster, Outcome
from hf2vad.engines.request import EngineAnswer, EngineRequest, answer_here
from hf2vad.errors import DispatchError


def run_calls(next_call: Callable[[], Call | None], cluster: Cluster) -> Iterator[Outcome]:
    """Submit the calls that `next_call` gives, and yield their outcomes as they end.

    `next_call` is asked whenever the cluster takes one more, and again after each outcome. None means that no call is
    ready now; when none runs either, that is the end. Raises the Hf2vadError that ends the run (cluster/policy.py).
    """
    while True:
        while cluster.running < cluster.in_flight and (call := next_call()) is not None:
            cluster.submit(call)
        if not cluster.running:
            return
        yield cluster.wait()


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
