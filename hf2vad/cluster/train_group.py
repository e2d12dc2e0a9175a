"""Training by several workers at once: Ray Train starts them, joins them in a process group, and starts them again.

What happens when a worker does not end well:
- it died (killed, out of memory, node lost), or storage failed: all are started again, at most `ray.retries` times, and
  go on from the last checkpoint;
- settings, a table or a loss that cannot be trained with: the run ends;
- the driver got SIGTERM, and passed the word on: they end by themselves, and so does the run. When that takes longer
  than the grace period, they are killed.
"""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hf2vad.cluster.connection import connected
from hf2vad.cluster.policy import Cause, cause_of
from hf2vad.cluster.settings import RayConfig
from hf2vad.cluster.stop import Stop, StopWord
from hf2vad.errors import DispatchError, Hf2vadError, StoppedError, TrainingError

LOOK_SECONDS = 0.1
"""Seconds between two checks for a stop signal."""

DROP_SECONDS = 10.0
"""Time that Ray Train has to end a run whose workers were killed, and each answer before."""

SILENCE_SECONDS = 600
"""A worker that the others have waited for so long is taken as lost; one that dies or fails is noticed in seconds."""


@dataclass(frozen=True)
class Share:
    """Share of its node that a worker may use."""

    threads: int
    """CPU threads."""
    gpu: bool
    word: Any
    """Handle of the StopWord."""

    def listen(self) -> Callable[[], bool]:
        """Return a function that tells whether the driver was asked to stop. To be called in a worker."""
        self.word.listen.remote(ray.get_runtime_context().current_actor)
        told = self.word.told.remote().future()
        return lambda: told.done() and told.exception() is None


def run_group(
    work: Callable[[Share], None], *, workers: int, config: RayConfig, device: str, grace_seconds: float
) -> None:
    """Run `work` in `workers` processes that form a torch process group: NCCL between GPUs, else Gloo.

    `device`: `cpu`, `cuda`, or `auto` for GPUs where the cluster has any. `grace_seconds`: how long `work` may go on
    after SIGTERM. Raises DispatchError when the cluster is too small, what a worker raised when it cannot be healed by
    starting again, and StoppedError when `work` was dropped.
    """
    with Stop(grace_seconds) as stop, connected(config.address):
        stop.listen()
        gpus = _gpus(config, workers, device)
        resources = {"CPU": config.cpus, **({"GPU": gpus} if gpus else {})}
        share = Share(threads=max(1, math.floor(config.cpus)), gpu=gpus > 0, word=_word())
        logging.getLogger("ray.train").setLevel(logging.WARNING)
        # Ray Train wants a place for checkpoints of its own; ours go through hf2vad.storage, so it stays empty.
        with tempfile.TemporaryDirectory(prefix="hf2vad-ray-train-", ignore_cleanup_errors=True) as unused:
            trainer = TorchTrainer(
                lambda: work(share),
                torch_config=TorchConfig(backend="nccl" if gpus >= 1 else "gloo", timeout_s=SILENCE_SECONDS),
                scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0, resources_per_worker=resources),
                run_config=RunConfig(
                    storage_path=unused,
                    failure_config=FailureConfig(max_failures=config.retries),
                    callbacks=[_StopAtOnce(share.word)],  # type: ignore[list-item]
                ),
            )
            _fit(trainer, stop, share.word)


def _word() -> Any:
    """A StopWord on this node, where Ray Train has its controller too: what loses one of them loses all three."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(StopWord).options(num_cpus=0, scheduling_strategy=here).remote()


def _gpus(config: RayConfig, workers: int, device: str) -> float:
    """GPUs that each worker gets. Raises DispatchError when the cluster has not enough of something."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    wanted = device.startswith("cuda") or (device == "auto" and have.get("GPU", 0) > 0)
    gpus = (1.0 if config.gpus is None else config.gpus) if wanted else 0.0
    if workers * config.cpus > have.get("CPU", 0) or workers * gpus > have.get("GPU", 0):
        raise DispatchError(
            f"{workers} workers need {config.cpus} CPUs and {gpus} GPUs each, the cluster has {have.get('CPU', 0)} and "
            f"{have.get('GPU', 0)}; lower --workers, --ray.cpus or --ray.gpus, or take --device cpu"
        )
    return gpus


def _fit(trainer: TorchTrainer, stop: Stop, word: Any) -> None:
    """Train, in a thread: in the main one, Ray Train would take over Ctrl-C and end the process without a word."""
    said = False
    raised: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=fit, name="training", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=LOOK_SECONDS)
        if stop.overdue:
            _drop(word)
            thread.join(timeout=DROP_SECONDS)
            raise StoppedError("what ran was dropped; run the same command again to go on from the last checkpoint")
        if stop.signalled and not said:
            word.say.remote()
            said = True
    for error in raised:
        raise _cause(error) if isinstance(error, TrainingFailedError) else error


def _drop(word: Any) -> None:
    """Kill the workers, so that none works on where the driver's process lives on. Where the cluster is lost, they are.

    The word is said before, so that they are not started again.
    """
    with contextlib.suppress(RayError):
        ray.get(word.say.remote(), timeout=DROP_SECONDS)
        for worker in ray.get(word.listeners.remote(), timeout=DROP_SECONDS):
            ray.kill(worker)


class _StopAtOnce(UserCallback):
    """Ends the run when a worker's error will come again, or the driver was told to stop: what a callback raises, Ray
    Train does not retry."""

    def __init__(self, word: Any) -> None:
        self._word = word

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for error in worker_exceptions.values():
            if isinstance(error, Hf2vadError) and cause_of(error) is not Cause.STORAGE:
                raise error
        with contextlib.suppress(RayError):
            if ray.get(self._word.said.remote(), timeout=DROP_SECONDS):
                raise StoppedError("told to stop")


def _cause(error: TrainingFailedError) -> Hf2vadError:
    """The error of ours that ended the run, or one that says what Ray says."""
    found: list[Exception] = []
    if isinstance(error, WorkerGroupError):
        found = list(error.worker_failures.values())
    elif isinstance(error, ControllerError):
        found = [error.controller_failure]
    for one in found:
        if isinstance(one, Hf2vadError):
            return one
    said = "; ".join(f"{type(one).__name__}: {' '.join(str(one).split())[:300]}" for one in found) or str(error)
    return TrainingError(f"the training workers failed too often ({said}); run the same command again to go on")
