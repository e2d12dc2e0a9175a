"""A cluster of Ray's: every call is a task, which Ray gives to a worker process that is free."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import ray
import ray.util.client
from ray.exceptions import RayError, RayTaskError, WorkerCrashedError
from ray.util.metrics import Counter, Gauge

from hf2vad.arrow import without_pandas
from hf2vad.cluster.connection import check_answers
from hf2vad.cluster.dispatch import Call, Figure
from hf2vad.cluster.gpu import watched
from hf2vad.cluster.retries import Attempt, End, RetryingCluster
from hf2vad.cluster.settings import WORKER_ENVIRONMENT, RayConfig
from hf2vad.errors import DeviceError, DispatchError

CHECK_SECONDS = 5.0
"""Seconds between two checks that the head node answers, while no call ends."""
REASON_SECONDS = 0.2
"""Seconds that the driver waits, after a worker died, for the reason: that its GPU had failed on the call before."""


class RayCluster(RetryingCluster):
    """The Ray cluster that this process is connected to.

    `capacity` is what the cluster's CPUs, GPUs and memory carry, or ray.workers. `in_flight` is more, so that a worker
    that becomes free finds a call without asking the driver.
    """

    def __init__(self, config: RayConfig, *, use_gpu: bool) -> None:
        """`use_gpu`: whether the calls can use a GPU. Raises DispatchError for a cluster too small for one call."""
        gpus, slots = _slots(config, use_gpu)
        capacity = config.workers or slots
        super().__init__(config, capacity=capacity, in_flight=config.workers or 2 * capacity + 2, gpus=gpus)
        self._options: dict[str, Any] = {
            "num_cpus": config.cpus,
            "num_gpus": gpus,
            "max_retries": 0,
            "runtime_env": {"env_vars": WORKER_ENVIRONMENT},
        }
        if config.memory_gib:
            self._options["memory"] = int(config.memory_gib * 2**30)
        self._remotes: dict[Callable[..., Any], Any] = {}
        self._attempts: dict[Any, Attempt] = {}
        self._ended: deque[End] = deque()
        self._ending = 0
        """Workers that end because their GPU failed (gpu.py): each may lose a call that it has not begun."""
        self._metrics: dict[str, Any] = {}
        through_client = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]
        self._head: str = "" if through_client else ray.get_runtime_context().gcs_address  # ray:// may not reach it
        self._checked = time.monotonic()

    def export(self, name: str, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Let a counter grow by `value`, or set a gauge to it; the agent of this node hands it to Prometheus."""
        if name not in self._metrics:
            kind: Any = Counter if figure.kind == "counter" else Gauge
            self._metrics[name] = kind(name, description=figure.description, tag_keys=tuple(labels))
        metric = self._metrics[name]
        (metric.inc if figure.kind == "counter" else metric.set)(value, dict(labels))

    @property
    def _started(self) -> int:
        return len(self._attempts) + len(self._ended)

    def _start(self, attempt: Attempt) -> None:
        call = attempt.call
        if call.function not in self._remotes:
            self._remotes[call.function] = ray.remote(_in_worker(call.function)).options(**self._options)
        self._attempts[self._remotes[call.function].remote(*call.args)] = attempt

    def _next_end(self, seconds: float) -> End | None:
        if not self._ended:
            self._gather(seconds)
        if not self._ended:
            return None
        end = self._ended.popleft()
        if isinstance(end.error, WorkerCrashedError) and self._ending and not end.attempt.taken_back:
            self._ending -= 1
            self._start(end.attempt)  # not counted among its tries: the call is not to blame
            return None
        return end

    def _gather(self, seconds: float) -> None:
        """Wait until a call ends, and collect all that have. Ray may report the call that was lost with its worker
        before the call on which the worker's GPU failed, so both are awaited before either is judged."""
        if not self._attempts:
            time.sleep(seconds)
        elif ray.wait(list(self._attempts), num_returns=1, timeout=seconds)[0]:
            self._collect()
            if any(isinstance(end.error, WorkerCrashedError) for end in self._ended):
                time.sleep(REASON_SECONDS)
                self._collect()
        if not self._ended:
            self._check_head()

    def _collect(self) -> None:
        refs = list(self._attempts)
        for ref in ray.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else ():
            end = _end(self._attempts.pop(ref), ref)
            self._ending += isinstance(end.error, DeviceError)
            self._ended.append(end)

    def _withdraw(self, which: Callable[[Call], bool], begun: bool) -> list[Attempt]:
        """Ray does not report which calls have begun. They begin in about the order of submission, so all but the
        oldest `capacity` count as not begun; one that has begun all the same is interrupted."""
        for ref, attempt in list(self._attempts.items())[0 if begun else self.capacity :]:
            if which(attempt.call):
                attempt.taken_back = True
                ray.cancel(ref)
        return []

    def _check_head(self) -> None:
        """Raise DispatchError when the head node is gone: Ray would end this process by itself, after a minute."""
        if time.monotonic() < self._checked + CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        try:
            check_answers(self._head)
        except DispatchError:
            raise DispatchError(
                f"the Ray cluster is lost: its head node no longer answers at {self._head}; what is done is kept, run "
                "the same command again on another cluster to go on"
            ) from None


def _in_worker(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a worker calls it."""
    guarded = watched(function)

    @functools.wraps(function)
    def call(*args: Any) -> Any:  # pickled by value, so what it needs of this module are functions
        without_pandas()
        return guarded(*args)

    return call


def _end(attempt: Attempt, ref: Any) -> End:
    try:
        return End(attempt, ray.get(ref))
    except RayTaskError as error:
        return End(attempt, error=error.cause if isinstance(error.cause, Exception) else error)
    except RayError as error:
        return End(attempt, error=error)


def _slots(config: RayConfig, use_gpu: bool) -> tuple[float, int]:
    """The share of a GPU that a call reserves, and how many calls the cluster carries at once."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = config.gpus if config.gpus is not None else (1.0 if use_gpu and have.get("GPU", 0) >= 1 else 0.0)
    slots = have.get("CPU", 0) / config.cpus
    if gpus:
        slots = min(slots, have.get("GPU", 0) / gpus)
    if config.memory_gib:
        slots = min(slots, have.get("memory", 0) / (config.memory_gib * 2**30))
    if slots < 1 and not config.workers:
        raise DispatchError(
            f"a worker needs {config.cpus} CPUs, {gpus} GPUs and {config.memory_gib} GiB, the cluster has "
            f"{have.get('CPU', 0)}, {have.get('GPU', 0)} and {have.get('memory', 0) / 2**30:.1f}; lower "
            "--ray.cpus, --ray.gpus or --ray.memory-gib"
        )
    return gpus, int(slots)
