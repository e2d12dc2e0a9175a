"""Calls that are no walk: as many at once as the cluster carries, in the order in which they are given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from hf2vad.cluster.calls import run_calls
from hf2vad.cluster.dispatch import Call, Outcome


class Cluster:
    """Makes the last call first, when it is waited for."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self.calls: deque[Call] = deque()
        self.most = 0

    @property
    def running(self) -> int:
        return len(self.calls)

    def submit(self, call: Call) -> None:
        self.calls.append(call)
        self.most = max(self.most, len(self.calls))

    def wait(self) -> Outcome:
        call = self.calls.pop()
        return Outcome(call, call.function(*call.args), None, 1)


def results(next_call: Callable[[], Call | None], cluster: Cluster) -> list[int]:
    return [outcome.value for outcome in run_calls(next_call, cluster)]  # type: ignore[arg-type]


@pytest.mark.parametrize("in_flight", [1, 3, 20])
def test_all_calls_are_made_and_no_more_at_once_than_the_cluster_takes(in_flight: int) -> None:
    calls = iter([Call(abs, (-number,), number) for number in range(10)])
    cluster = Cluster(in_flight)
    assert sorted(results(lambda: next(calls, None), cluster)) == list(range(10))
    assert cluster.most == min(in_flight, 10)


def test_what_an_outcome_makes_ready_is_called_next() -> None:
    waiting, done = [1, 2, 3], {0}

    def next_call() -> Call | None:
        ready = [number for number in waiting if number - 1 in done]
        if not ready:
            return None
        waiting.remove(ready[0])
        return Call(abs, (-ready[0],), ready[0])

    order = []
    for outcome in run_calls(next_call, Cluster(4)):  # type: ignore[arg-type]
        order.append(outcome.value)
        done.add(outcome.value)
    assert order == [1, 2, 3]


def test_nothing_to_do_is_done_at_once() -> None:
    assert results(lambda: None, Cluster(2)) == []
