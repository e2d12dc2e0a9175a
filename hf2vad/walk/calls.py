"""Calls on a cluster in the order in which they are given, as many at once as it carries: all that is not a walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hf2vad.cluster.dispatch import Call, Cluster, Outcome


def run_calls(next_call: Callable[[], Call | None], cluster: Cluster) -> Iterator[Outcome]:
    """The outcomes of calls as they end.

    `next_call` is asked for one whenever a worker is free, and again after each outcome: none means that there is none
    now, and the end comes when nothing runs any more. Raises what ends the run (cluster/policy.py).
    """
    while True:
        while cluster.running < cluster.in_flight and (call := next_call()) is not None:
            cluster.submit(call)
        if not cluster.running:
            return
        yield cluster.wait()
