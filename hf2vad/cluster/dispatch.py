"""Calls on a Ray cluster: a bounded number at once, retried where a retry can help, and nowhere else.

What happens to a call that does not return a value is said in policy.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.util.client
from ray.exceptions import RayError, RayTaskError

from hf2vad.cluster.gpu import remote
from hf2vad.cluster.policy import Cause, cause_of, describe, ending, pause
from hf2vad.errors import ConfigError, DispatchError

CONNECT_SECONDS = 10
"""A head node that has not answered by then is taken as absent."""

WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""What workers have in their environment: one heap for all their threads, or freed memory piles up (docs/adr/0006)."""

CHECK_SECONDS = 5.0
"""How often, while nothing comes back, it is looked whether the cluster is there."""

LOOK_SECONDS = 1.0
"""How often a driver that waits for calls looks whether it was told to stop."""

DROP_SECONDS = 5.0
"""How long calls that are dropped may take to clean up, before their workers are ended."""


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Where the work runs, and with how much of it."""

    address: str = ""
    """Address of a Ray cluster. Empty: RAY_ADDRESS, or the cluster that this job was submitted to, or else Ray is
    started here and ends with the job. `local`: always start it here."""

    workers: int = 0
    """Shards worked on at once; 0: as many as the cluster's CPUs and GPUs carry. Training has --workers instead."""

    cpus: float = 1.0
    """CPUs that a worker reserves; a worker uses as many threads for the network."""

    gpus: float | None = None
    """Share of a GPU that a worker reserves, so that several can share one; none: a whole one where the cluster has
    GPUs and the work can use them, else 0."""

    memory_gib: float = 0.0
    """Memory that a worker reserves, in GiB; 0: not accounted."""

    retries: int = 2
    """How often a shard is tried again after its worker died or storage failed; in training, how often the workers are
    started again."""

    node_retries: int = 10
    """How often after its node was lost, which says nothing of the shard: spot instances come and go."""

    def __post_init__(self) -> None:
        least_of = {"workers": 0, "cpus": 0.01, "memory_gib": 0, "retries": 0, "node_retries": 0, "gpus": 0}
        for name, least in least_of.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"ray.{name} must be at least {least}, got {value}")


@dataclass(frozen=True)
class Call:
    """One remote call."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    tag: Any
    """What the driver wants to know again when the call is done."""


@dataclass(frozen=True)
class Outcome:
    """A call that is over."""

    call: Call
    value: Any
    failure: str | None
    """Why there is no value; none when there is one."""
    tries: int
    cause: Cause | None = None
    """The same in one word, for what follows from it."""


@dataclass
class _Try:
    """A call that is not over."""

    call: Call
    failed: Counter[Cause] = field(default_factory=Counter)
    """How often it failed, by why."""
    due: float = 0.0
    """When it is to be started again, on the monotonic clock."""
    taken_back: bool = False


@contextlib.contextmanager
def cluster(config: RayConfig) -> Iterator[None]:
    """Be connected to the cluster that `config` names, or to a local one that ends with the block.

    Raises DispatchError when there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS", "") or "local"
    here: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": 256 * 2**20} if address == "local" else {}
    )
    _check_answers(address)
    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, **here)
    except (ConnectionError, ValueError, RayError, RuntimeError) as error:
        remedy = "if it asks for a token, RAY_AUTH_MODE and the token must be its own"
        raise DispatchError(f"no Ray cluster at {address!r}: {error}; {remedy}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise DispatchError when nothing listens at `host:port`: Ray itself tries for minutes before it says so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DispatchError(f"no Ray cluster at {address!r}: {error}") from None


class Dispatcher:
    """Runs calls on the connected cluster.

    `capacity` is how many run at once, `in_flight` how many to submit: more where the cluster itself is the limit, so
    that a worker which comes free finds work without asking the driver, which then finds several calls that are over.
    """

    def __init__(self, config: RayConfig, *, use_gpu: bool) -> None:
        """`use_gpu`: whether the calls can make use of a GPU.

        Raises DispatchError when the cluster is too small for one call.
        """
        have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.gpus = config.gpus if config.gpus is not None else (1.0 if use_gpu and have.get("GPU", 0) >= 1 else 0.0)
        slots = have.get("CPU", 0) / config.cpus
        if self.gpus:
            slots = min(slots, have.get("GPU", 0) / self.gpus)
        if config.memory_gib:
            slots = min(slots, have.get("memory", 0) / (config.memory_gib * 2**30))
        if slots < 1 and not config.workers:
            raise DispatchError(
                f"a worker needs {config.cpus} CPUs, {self.gpus} GPUs and {config.memory_gib} GiB, the cluster has "
                f"{have.get('CPU', 0)}, {have.get('GPU', 0)} and {have.get('memory', 0) / 2**30:.1f}; lower "
                "--ray.cpus, --ray.gpus or --ray.memory-gib"
            )
        self.capacity = config.workers or int(slots)
        self.in_flight = config.workers or 2 * self.capacity + 2
        self.retried = 0
        self._budget = {Cause.WORKER: config.retries, Cause.STORAGE: config.retries, Cause.NODE: config.node_retries}
        self.on_retry: Callable[[Call, str, int], None] = lambda call, failure, tries: None
        """Told of a call that is started again: why, and how often it was tried."""
        self._options: dict[str, Any] = {
            "num_cpus": config.cpus,
            "num_gpus": self.gpus,
            "max_retries": 0,
            "runtime_env": {"env_vars": WORKER_ENVIRONMENT},
        }
        if config.memory_gib:
            self._options["memory"] = int(config.memory_gib * 2**30)
        self._remotes: dict[Callable[..., Any], Any] = {}
        self._running: dict[Any, _Try] = {}
        self._paused: list[_Try] = []
        self._dropped: deque[Outcome] = deque()
        through_client = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]
        self._head: str = "" if through_client else ray.get_runtime_context().gcs_address  # ray:// may not reach it
        self._checked = time.monotonic()

    @property
    def running(self) -> int:
        """Calls that are not over."""
        return len(self._running) + len(self._paused) + len(self._dropped)

    def submit(self, call: Call) -> None:
        """Start `call` as soon as a worker is free."""
        self._start(_Try(call))

    def wait(self) -> Outcome:
        """The next call that is over. Raises the errors that end a run."""
        while True:
            if (outcome := self.poll(LOOK_SECONDS)) is not None:
                return outcome

    def poll(self, seconds: float = LOOK_SECONDS) -> Outcome | None:
        """The same, or none when none is over within `seconds`."""
        if self._dropped:
            return self._dropped.popleft()
        until = time.monotonic() + seconds
        while True:
            self._start_paused()
            left = min([until, *(paused.due for paused in self._paused)]) - time.monotonic()
            if not self._running:
                time.sleep(max(0.0, left))
            else:
                ready, _ = ray.wait(list(self._running), num_returns=1, timeout=max(0.0, left))
                if ready and (outcome := self._over(ready[0])) is not None:
                    return outcome
            if time.monotonic() >= until:
                self._check_cluster()
                return None

    def _check_cluster(self) -> None:
        """Raise DispatchError when the head node is gone: Ray would end this process by itself, after a minute."""
        if time.monotonic() < self._checked + CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        try:
            _check_answers(self._head)
        except DispatchError:
            raise DispatchError(
                f"the Ray cluster is lost: its head node no longer answers at {self._head}; what is done is kept, run "
                "the same command again on another cluster to go on"
            ) from None

    def take_back(self, which: Callable[[Call], bool] = lambda call: True, *, begun: bool = False) -> None:
        """Take back the calls for which `which` holds; unless `begun`, only those that no worker has begun.

        They come back from `poll`, with a value if they were over by then. Which ones have begun is not known here, but
        calls begin in the order in which they were submitted: all but the oldest `capacity` have not.
        """
        self._dropped.extend(_dropped(paused) for paused in self._paused if which(paused.call))
        self._paused = [paused for paused in self._paused if not which(paused.call)]
        for ref, known in list(self._running.items())[0 if begun else self.capacity :]:
            if which(known.call):
                known.taken_back = True
                ray.cancel(ref)

    def _over(self, ref: Any) -> Outcome | None:
        """The outcome of a call that came back, or none when it is started again."""
        known = self._running.pop(ref)
        call, tries = known.call, known.failed.total() + 1
        try:
            return Outcome(call, ray.get(ref), None, tries)
        except RayTaskError as error:
            raised = error.cause if isinstance(error.cause, Exception) else error
        except RayError as error:
            raised = error
        if known.taken_back:
            return _dropped(known)
        cause, failure = cause_of(raised), describe(raised)
        if cause is Cause.RUN:
            raise ending(raised) from None
        known.failed[cause] += 1
        if cause not in self._budget:
            return Outcome(call, None, failure, tries, cause)
        if known.failed[cause] > self._budget[cause]:
            return Outcome(call, None, f"{failure}, {known.failed[cause]} times", tries, cause)
        self.retried += 1
        self.on_retry(call, failure, tries)
        known.due = time.monotonic() + pause(cause, known.failed[cause])
        self._paused.append(known)
        return None

    def _start_paused(self) -> None:
        now = time.monotonic()
        for known in [paused for paused in self._paused if paused.due <= now]:
            self._paused.remove(known)
            self._start(known)

    def _start(self, known: _Try) -> None:
        call = known.call
        if call.function not in self._remotes:
            self._remotes[call.function] = remote(call.function).options(**self._options)
        self._running[self._remotes[call.function].remote(*call.args)] = known


def _dropped(known: _Try) -> Outcome:
    return Outcome(known.call, None, "taken back", known.failed.total() + 1, Cause.DROPPED)
