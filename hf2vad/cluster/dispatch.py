"""The calls of a job: what a call is, how it ends, and the cluster that makes it.

What happens to a call that does not return a value is said in policy.py, and done in retries.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hf2vad.cluster.gpu import gpu_here
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.settings import RayConfig

LOOK_SECONDS = 1.0
"""Seconds between two checks for a stop signal while the driver waits for calls."""

DROP_SECONDS = 5.0
"""Seconds that dropped calls get to clean up before their workers are killed."""


@dataclass(frozen=True)
class Call:
    """A function and its arguments, for a worker to call; both are pickled where the worker is another process."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    tag: Any
    """Whatever tells the driver which call an outcome belongs to; stays in the driver."""


@dataclass(frozen=True)
class Outcome:
    """Result of a call: a value, or a failure and its cause."""

    call: Call
    value: Any
    """Return value of the function. None after a failure."""
    failure: str | None
    """Why there is no value, in one line. None on success."""
    tries: int
    """Number of times the call was started."""
    cause: Cause | None = None
    """Failure class (policy.py). None on success."""


@dataclass(frozen=True)
class Figure:
    """A metric of a run."""

    kind: Literal["counter", "gauge"]
    description: str
    labels: tuple[str, ...] = ()
    """Label names, beside those that every metric of a run has."""


class Cluster(Protocol):
    """Makes calls, a bounded number at once, and retries those that a retry can help."""

    capacity: int
    """Calls that run at once."""
    in_flight: int
    """Calls to keep submitted: more than `capacity` where a worker that becomes free should find the next one ready."""
    gpus: float
    """Share of a GPU that each call reserves; 0: none."""
    retried: int
    """Retries so far."""
    on_retry: Callable[[Call, str, int], None]
    """Called before each retry with the call, why it failed, and how often it has been tried."""

    @property
    def running(self) -> int:
        """Submitted calls whose outcome `poll` has not returned yet."""

    def submit(self, call: Call) -> None:
        """Queue `call`; returns at once."""

    def poll(self, seconds: float = LOOK_SECONDS) -> Outcome | None:
        """The next outcome, or None when no call ends within about `seconds`.

        Raises the Hf2vadError that ends the run, for a failure that every other call would meet too.
        """

    def wait(self) -> Outcome:
        """The next outcome, however long it takes. Raises what `poll` raises."""

    def take_back(self, which: Callable[[Call], bool] = lambda call: True, *, begun: bool = False) -> None:
        """Withdraw the calls for which `which` holds: only those that no worker has begun, unless `begun`.

        `poll` returns each of them with the cause DROPPED, or with its value where it ended before.
        """

    def export(self, name: str, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Let a counter grow by `value`, or set a gauge to it, where the cluster exports metrics; else do nothing."""


@contextlib.contextmanager
def open_cluster(config: RayConfig, *, use_gpu: bool = False) -> Iterator[Cluster]:
    """The cluster that `config` names: a Ray cluster, connected to for the block; processes of this machine, which end
    with the block; or this process (`address` none).

    A process that is connected to a Ray cluster already stays connected, to that one. `use_gpu`: whether the calls can
    use a GPU. Raises DispatchError when there is no cluster at the address, or it is too small for one call.
    """
    if not config.uses_ray:
        from hf2vad.cluster.inline import InlineCluster

        yield InlineCluster(config)
        return
    if needs_no_ray(config, use_gpu):
        from hf2vad.cluster.processes import ProcessCluster

        with ProcessCluster(config) as processes:
            yield processes
        return
    from hf2vad.cluster.connection import connected  # Ray takes a second to import
    from hf2vad.cluster.ray_cluster import RayCluster

    with connected(config.address):
        yield RayCluster(config, use_gpu=use_gpu)


def needs_no_ray(config: RayConfig, use_gpu: bool) -> bool:
    """True if no Ray cluster is named, and only processors are to be shared."""
    ray: Any = sys.modules.get("ray")
    named = config.address or os.environ.get("RAY_ADDRESS") or (ray is not None and ray.is_initialized())
    shared = config.gpus or config.memory_gib or (use_gpu and config.gpus is None and gpu_here())
    return not (named or shared)
