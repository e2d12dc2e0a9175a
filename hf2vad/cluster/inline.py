"""A cluster that is this process: no Ray, no pickling, one call after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from hf2vad.cluster.dispatch import Call, Figure
from hf2vad.cluster.gpu import device_error
from hf2vad.cluster.retries import Attempt, End, RetryingCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import DeviceMemoryError, DispatchError


class InlineCluster(RetryingCluster):
    """Makes the calls in the order in which they were submitted, one at each `poll`, in the thread that polls.

    Failures are classed and retried as on Ray. What is no Exception, such as KeyboardInterrupt, passes through `poll`.
    A call that has begun cannot be taken back, and a GPU that has failed ends the run: there is no other process.
    """

    def __init__(self, config: RayConfig) -> None:
        super().__init__(config, capacity=1, in_flight=1)
        self._queue: deque[Attempt] = deque()

    def export(self, name: str, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Does nothing: nobody scrapes this process."""

    @property
    def _started(self) -> int:
        return len(self._queue)

    def _start(self, attempt: Attempt) -> None:
        self._queue.append(attempt)

    def _next_end(self, seconds: float) -> End | None:
        if not self._queue:
            time.sleep(seconds)
            return None
        attempt = self._queue.popleft()
        try:
            return End(attempt, attempt.call.function(*attempt.call.args))
        except Exception as error:
            failure = device_error(error)
            if failure is None or isinstance(failure, DeviceMemoryError):
                return End(attempt, error=failure or error)
            remedy = "run the same command again to go on; with a Ray cluster, another worker would"
            return End(attempt, error=DispatchError(f"{failure}: what is done is kept, {remedy}"))

    def _withdraw(self, which: Callable[[Call], bool], begun: bool) -> list[Attempt]:
        withdrawn = [attempt for attempt in self._queue if which(attempt.call)]
        self._queue = deque(attempt for attempt in self._queue if not which(attempt.call))
        return withdrawn
