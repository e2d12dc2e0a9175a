"""The road not taken (docs/adr/0014): a cluster whose worker slots are actors, as Ray Data and ray.llm have them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from hf2vad.cluster.dispatch import Call, Figure
from hf2vad.cluster.gpu import device_error
from hf2vad.cluster.ray_cluster import WORKER_ENVIRONMENT
from hf2vad.cluster.retries import Attempt, End, RetryingCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import DeviceError, DeviceMemoryError

DEPTH = 2
"""Calls that an actor is given: the one that it makes, and the next."""


class Worker:
    """Makes calls in its process."""

    def ready(self) -> None:
        """Returns when the actor has started."""

    def make(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What `function` returns or raises; errors of the GPU as DeviceErrors."""
        try:
            return function(*args)
        except Exception as error:
            if (failure := device_error(error)) is None:
                raise
        raise failure


@dataclass(eq=False)
class Slot:
    """An actor, and the calls that it has: it makes the oldest."""

    actor: Any
    starting: Any
    """None once it has started."""
    attempts: dict[Any, Attempt] = field(default_factory=dict)


class ActorCluster(RetryingCluster):
    """As many actors as the cluster carries calls; a context manager, which ends them."""

    def __init__(self, config: RayConfig) -> None:
        have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        capacity = config.workers or int(have["CPU"] / config.cpus)
        super().__init__(config, capacity=capacity, in_flight=DEPTH * capacity)
        runtime = {"env_vars": WORKER_ENVIRONMENT}
        self._worker: Any = ray.remote(Worker).options(num_cpus=config.cpus, runtime_env=runtime)
        self._waiting: deque[Attempt] = deque()
        self._slots = [self._slot() for _ in range(capacity)]

    def __enter__(self) -> ActorCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            ray.kill(slot.actor)

    def export(self, name: str, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Does nothing."""

    @property
    def _started(self) -> int:
        return len(self._waiting) + sum(len(slot.attempts) for slot in self._slots)

    def _slot(self) -> Slot:
        actor = self._worker.remote()
        return Slot(actor, actor.ready.remote())

    def _start(self, attempt: Attempt) -> None:
        self._waiting.append(attempt)
        self._assign()

    def _assign(self) -> None:
        started = [slot for slot in self._slots if slot.starting is None]
        while self._waiting and started:
            slot = min(started, key=lambda slot: len(slot.attempts))
            if len(slot.attempts) == DEPTH:
                return
            attempt = self._waiting.popleft()
            call = attempt.call
            method = slot.actor.make.options(name=call.function.__name__)
            slot.attempts[method.remote(call.function, call.args)] = attempt

    def _next_end(self, seconds: float) -> End | None:
        slots = {ref: slot for slot in self._slots for ref in slot.attempts}
        slots |= {slot.starting: slot for slot in self._slots if slot.starting is not None}
        if not self._started:
            time.sleep(seconds)
            return None
        ready, _ = ray.wait(list(slots), num_returns=1, timeout=seconds)
        if not ready:
            return None
        slot = slots[ready[0]]
        if ready[0] == slot.starting:
            slot.starting = None
            self._assign()
            return None
        attempt = slot.attempts.pop(ready[0])
        error: Exception | None = None
        value = None
        try:
            value = ray.get(ready[0])
        except RayTaskError as raised:
            error = raised.cause if isinstance(raised.cause, Exception) else raised
        except RayError as raised:
            error = raised
        failed = isinstance(error, DeviceError) and not isinstance(error, DeviceMemoryError)
        if failed or isinstance(error, RayActorError):
            self._replace(slot)
        self._assign()
        return End(attempt, value, error)

    def _replace(self, slot: Slot) -> None:
        """End an actor, and let another make the calls that it had not begun."""
        ray.kill(slot.actor)
        self._waiting.extendleft(reversed(slot.attempts.values()))
        self._slots[self._slots.index(slot)] = self._slot()

    def _withdraw(self, which: Callable[[Call], bool], begun: bool) -> list[Attempt]:
        withdrawn = [attempt for attempt in self._waiting if which(attempt.call)]
        self._waiting = deque(attempt for attempt in self._waiting if not which(attempt.call))
        for slot in self._slots:
            for ref, attempt in list(slot.attempts.items())[0 if begun else 1 :]:
                if which(attempt.call):
                    attempt.taken_back = True
                    ray.cancel(ref)
        return withdrawn
