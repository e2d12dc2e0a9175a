"""Calls in order, as many at once as a cluster takes: what a job does that is not a walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hf2vad.cluster.dispatch import Call, Cluster, Outcome


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
