"""A cluster of worker processes on this machine, without Ray, which takes seconds to start."""

from __future__ import annotations

import multiprocessing.connection
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from hf2vad.cluster.dispatch import DROP_SECONDS, Call, Figure
from hf2vad.cluster.policy import WorkerDiedError
from hf2vad.cluster.retries import Attempt, End, RetryingCluster
from hf2vad.cluster.settings import WORKER_ENVIRONMENT, RayConfig
from hf2vad.errors import DispatchError


class ProcessCluster(RetryingCluster):
    """Worker processes of this machine, each started when there is a call for it, and one more to be ready.

    Failures are classed and retried as on Ray: a worker that dies takes down its call alone, and another is started.
    Workers end with this process, however it ends. Close it, or use it as a context manager.
    """

    def __init__(self, config: RayConfig) -> None:
        """Raises DispatchError for a machine too small for one call."""
        processors = processors_here()
        if processors < config.cpus and not config.workers:
            raise DispatchError(f"a worker needs {config.cpus} CPUs, this machine has {processors:g}; lower --ray.cpus")
        capacity = config.workers or int(processors / config.cpus)
        super().__init__(config, capacity=capacity, in_flight=config.workers or 2 * capacity)
        self._threads = max(1, int(config.cpus))
        self._queue: deque[Attempt] = deque()
        self._workers: list[_Worker] = []

    def export(self, name: str, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Does nothing: nobody scrapes this machine."""

    def close(self) -> None:
        """End the workers, whatever they are at."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def __enter__(self) -> ProcessCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _started(self) -> int:
        return len(self._queue) + sum(worker.attempt is not None for worker in self._workers)

    def _start(self, attempt: Attempt) -> None:
        self._queue.append(attempt)
        self._hand_out()

    def _next_end(self, seconds: float) -> End | None:
        by_connection = {worker.connection: worker for worker in self._workers}
        if not by_connection:
            time.sleep(seconds)
            return None
        for connection in multiprocessing.connection.wait(list(by_connection), seconds):
            worker = by_connection[connection]  # type: ignore[index]
            attempt, worker.attempt = worker.attempt, None
            try:
                error, value = worker.connection.recv()
            except (EOFError, OSError):
                self._workers.remove(worker)
                error, value = WorkerDiedError(worker.end()), None
            self._hand_out()  # a worker that is free does not wait for the driver
            if attempt is not None:
                return End(attempt, value, error)
        return None

    def _withdraw(self, which: Callable[[Call], bool], begun: bool) -> list[Attempt]:
        withdrawn = [attempt for attempt in self._queue if which(attempt.call)]
        self._queue = deque(attempt for attempt in self._queue if not which(attempt.call))
        for worker in self._workers if begun else ():
            if worker.attempt is not None and which(worker.attempt.call):
                worker.attempt.taken_back = True
                worker.process.send_signal(signal.SIGINT)
        return withdrawn

    def _hand_out(self) -> None:
        """Give calls to workers that are free, and start workers as long as there may be more."""
        while self._queue and (worker := self._free()) is not None:
            attempt = self._queue.popleft()
            message = pickle.dumps((attempt.call.function, attempt.call.args))
            if not worker.give(message, run=True):
                self._workers.remove(worker)
                worker.end()
                self._queue.appendleft(attempt)  # not counted among its tries: it has not begun
                continue
            worker.attempt = attempt
            if (ready := self._free()) is not None and ready.new:
                ready.give(message, run=False)

    def _free(self) -> _Worker | None:
        """A worker without a call; None when all that there may be have one."""
        for worker in self._workers:
            if worker.attempt is None:
                return worker
        if len(self._workers) == self.capacity:
            return None
        self._workers.append(_Worker.start(self._threads))
        return self._workers[-1]


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    attempt: Attempt | None = None
    """The call that it is at."""
    new: bool = True
    """True until something is given to the worker."""

    @classmethod
    def start(cls, threads: int) -> _Worker:
        """A new process, which finds the modules that this one finds. `threads`: of its numerical libraries."""
        ours, theirs = multiprocessing.Pipe()
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": path}
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hf2vad.cluster.process_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # signals of the terminal are for the driver, which says what follows
            )
        return cls(process, ours)

    def give(self, message: bytes, *, run: bool) -> bool:
        """Send a pickled call, to be made or only to be got ready for. Returns whether the worker lives."""
        self.new = False
        try:
            self.connection.send((run, message))
        except OSError:
            return False
        return True

    def end(self) -> str:
        """End the process and return how it ended: `SIGKILL`, `exit code 1`."""
        self.connection.close()  # at which it ends by itself
        try:
            code = self.process.wait(DROP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def processors_here() -> float:
    """CPUs that this process may use: those it may run on, or fewer where a container's share is less."""
    processors = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return processors
    return processors if quota == "max" else min(processors, max(1.0, int(quota) / int(period)))
