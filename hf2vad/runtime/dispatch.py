"""Calls on a Ray cluster: a bounded number at once, retried where a retry can help, and nowhere else.

What happens to a call that does not return:
- its worker died (killed, out of memory, node lost): again on another worker, at most `retries` times, then failed;
- StorageError that storage.py's own retries did not heal: the same;
- VideoError, NotFoundError, or any exception nobody foresaw: failed at once, with its message;
- denied access, a bundle, engine or setting that does not fit: the run ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hf2vad.errors import (
    AccessDeniedError,
    BundleError,
    ConfigError,
    DispatchError,
    EngineError,
    Hf2vadError,
    NotFoundError,
    SchemaError,
    StorageError,
)

CONNECT_SECONDS = 10
"""A head node that has not answered by then is taken as absent."""

WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""What workers have in their environment: one heap for all their threads, or freed memory piles up (docs/adr/0006)."""

FATAL = (AccessDeniedError, BundleError, ConfigError, EngineError, SchemaError)


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

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("cpus", 0.01), ("memory_gib", 0), ("retries", 0), ("gpus", 0)):
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
        self.on_retry: Callable[[Call, str, int], None] = lambda call, failure, tries: None
        """Told of a call that is started again: why, and how often it was tried."""
        self._retries = config.retries
        self._options: dict[str, Any] = {
            "num_cpus": config.cpus,
            "num_gpus": self.gpus,
            "max_retries": 0,
            "runtime_env": {"env_vars": WORKER_ENVIRONMENT},
        }
        if config.memory_gib:
            self._options["memory"] = int(config.memory_gib * 2**30)
        self._remotes: dict[Callable[..., Any], Any] = {}
        self._running: dict[Any, tuple[Call, int]] = {}

    @property
    def running(self) -> int:
        """Calls that are not over."""
        return len(self._running)

    def submit(self, call: Call) -> None:
        """Start `call` as soon as a worker is free."""
        self._start(call, tries=1)

    def wait(self) -> Outcome:
        """The next call that is over. Raises the errors that end a run."""
        while True:
            (ready,), _ = ray.wait(list(self._running), num_returns=1)
            call, tries = self._running.pop(ready)
            try:
                return Outcome(call, ray.get(ready), None, tries)
            except RayTaskError as error:
                cause = error.cause if isinstance(error.cause, Exception) else error
                if isinstance(cause, FATAL):
                    raise cause from None
                failure = _describe(cause)
                if not isinstance(cause, StorageError) or isinstance(cause, NotFoundError):
                    return Outcome(call, None, failure, tries)
            except RayError as error:
                failure = f"its worker died ({type(error).__name__})"
            if tries > self._retries:
                return Outcome(call, None, f"{failure}, {tries} times", tries)
            self.retried += 1
            self.on_retry(call, failure, tries)
            self._start(call, tries=tries + 1)

    def _start(self, call: Call, tries: int) -> None:
        if call.function not in self._remotes:
            self._remotes[call.function] = ray.remote(call.function).options(**self._options)
        self._running[self._remotes[call.function].remote(*call.args)] = (call, tries)


def _describe(error: Exception) -> str:
    message = " ".join(str(error).split())
    return message if isinstance(error, Hf2vadError) else f"{type(error).__name__}: {message}"
