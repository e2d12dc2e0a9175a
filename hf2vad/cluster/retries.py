"""Retries by cause: what every cluster does with a call that fails, wherever its calls are made."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hf2vad.cluster.dispatch import LOOK_SECONDS, Call, Outcome
from hf2vad.cluster.policy import Cause, cause_of, describe, ending, pause
from hf2vad.cluster.settings import RayConfig


@dataclass(eq=False)
class Attempt:
    """A call that has no outcome yet."""

    call: Call
    failed: Counter[Cause] = field(default_factory=Counter)
    """Failures so far, by cause."""
    due: float = 0.0
    """Earliest start of the next attempt, on the monotonic clock in seconds."""
    taken_back: bool = False
    """True if the driver itself withdrew the call."""

    @property
    def tries(self) -> int:
        """Starts so far, the current one included."""
        return self.failed.total() + 1

    def dropped(self) -> Outcome:
        """The outcome of a call that was taken back."""
        return Outcome(self.call, None, "taken back", self.tries, Cause.DROPPED)


@dataclass(frozen=True)
class End:
    """The end of an attempt: a value, or what was raised."""

    attempt: Attempt
    value: Any = None
    error: BaseException | None = None


class RetryingCluster(ABC):
    """A Cluster but for making the calls: `_start`, `_next_end` and `_withdraw` are left to a subclass."""

    def __init__(self, config: RayConfig, *, capacity: int, in_flight: int, gpus: float = 0.0) -> None:
        self.capacity, self.in_flight, self.gpus = capacity, in_flight, gpus
        self.retried = 0
        self.on_retry: Callable[[Call, str, int], None] = lambda call, failure, tries: None
        self._budget = {Cause.WORKER: config.retries, Cause.STORAGE: config.retries, Cause.NODE: config.node_retries}
        self._paused: list[Attempt] = []
        self._dropped: deque[Outcome] = deque()

    @property
    def running(self) -> int:
        return self._started + len(self._paused) + len(self._dropped)

    def submit(self, call: Call) -> None:
        self._start(Attempt(call))

    def wait(self) -> Outcome:
        while True:
            if (outcome := self.poll()) is not None:
                return outcome

    def poll(self, seconds: float = LOOK_SECONDS) -> Outcome | None:
        if self._dropped:
            return self._dropped.popleft()
        until = time.monotonic() + seconds
        while True:
            self._start_due()
            left = min([until, *(paused.due for paused in self._paused)]) - time.monotonic()
            # No variable holds an end while the next attempt runs: its error may hold the memory that was short.
            if (outcome := self._settle(self._next_end(max(0.0, left)))) is not None:
                return outcome
            if time.monotonic() >= until:
                return None

    def take_back(self, which: Callable[[Call], bool] = lambda call: True, *, begun: bool = False) -> None:
        self._drop(paused for paused in self._paused if which(paused.call))
        self._paused = [paused for paused in self._paused if not which(paused.call)]
        self._drop(self._withdraw(which, begun))

    @property
    @abstractmethod
    def _started(self) -> int:
        """Attempts that were started and have not ended."""

    @abstractmethod
    def _start(self, attempt: Attempt) -> None:
        """Have `attempt` made as soon as a worker is free."""

    @abstractmethod
    def _next_end(self, seconds: float) -> End | None:
        """The next attempt that ends, or None when none does within about `seconds`."""

    @abstractmethod
    def _withdraw(self, which: Callable[[Call], bool], begun: bool) -> Iterable[Attempt]:
        """Take back started attempts as `take_back` says. Returns those that are sure not to run; of any other, sets
        `taken_back`, and `_next_end` returns it."""

    def _settle(self, end: End | None) -> Outcome | None:
        """The outcome of an attempt that ended, or None when the call is tried again."""
        if end is None:
            return None
        attempt, call, tries = end.attempt, end.attempt.call, end.attempt.tries
        if end.error is None:
            return Outcome(call, end.value, None, tries)
        if attempt.taken_back:
            return attempt.dropped()
        cause, failure = cause_of(end.error), describe(end.error)
        if cause is Cause.RUN:
            raise ending(end.error) from None
        attempt.failed[cause] += 1
        if cause not in self._budget:
            return Outcome(call, None, failure, tries, cause)
        if attempt.failed[cause] > self._budget[cause]:
            return Outcome(call, None, f"{failure}, {attempt.failed[cause]} times", tries, cause)
        self.retried += 1
        self.on_retry(call, failure, tries)
        attempt.due = time.monotonic() + pause(cause, attempt.failed[cause])
        self._paused.append(attempt)
        return None

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [paused for paused in self._paused if paused.due <= now]
        self._paused = [paused for paused in self._paused if paused.due > now]
        for attempt in due:
            self._start(attempt)

    def _drop(self, attempts: Iterable[Attempt]) -> None:
        self._dropped.extend(attempt.dropped() for attempt in attempts)
