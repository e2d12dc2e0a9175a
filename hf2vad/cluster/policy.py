"""Consequences of a failed call on the cluster. The only place that decides them.

| cause | what it was | what follows |
|---|---|---|
| INPUT | the video or these frames of it; an error nobody foresaw | not tried again; a failure row |
| DENIED | the video may not be read, by the rights of a file or object | the same; all of them denied: the run ends |
| WORKER | its process died (killed, out of memory …), or its GPU failed | again, `retries` times; then a failure row |
| NODE | its machine is gone | the same, `node_retries` times |
| STORAGE | storage, after its own retries | the same as WORKER, with growing pauses between |
| RUN | comes again with every call: access, bucket, full disk, bundle, engine, settings | the run ends |
| DROPPED | taken back by the driver | as if it had never been started |

A failure row that DENIED, NODE or STORAGE left says nothing of the video, and so does not count among the runs that
failed on it (`Cause.blames_video`). storage/ has retried each request with backoff and jitter before a call fails with
STORAGE.
"""

from __future__ import annotations

import random
import sys
from enum import Enum
from typing import Any

from hf2vad.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    BundleError,
    ConfigError,
    DeviceError,
    DispatchError,
    EngineError,
    Hf2vadError,
    NotFoundError,
    SchemaError,
    StorageError,
    StorageFullError,
    VideoDeniedError,
)

ENDS_RUN = (
    AccessDeniedError,
    BucketNotFoundError,
    BundleError,
    ConfigError,
    DispatchError,
    EngineError,
    SchemaError,
    StorageFullError,
)

FIRST_PAUSE_SECONDS = 5.0
"""About how long a call waits after storage failed, the first time; then twice as long, up to LONGEST_PAUSE_SECONDS."""
LONGEST_PAUSE_SECONDS = 60.0


class WorkerDiedError(Exception):
    """In place of a result: a worker process of this machine ended, as `SIGKILL` or `exit code 1`, before its call."""


class Cause(Enum):
    """Why a call has no value."""

    INPUT = "input"
    DENIED = "denied"
    WORKER = "worker"
    NODE = "node"
    STORAGE = "storage"
    RUN = "run"
    DROPPED = "dropped"

    @property
    def blames_video(self) -> bool:
        """True if the video may be the cause, so that retries must end. A worker may have died of its video."""
        return self in (Cause.INPUT, Cause.WORKER)

    @property
    def blames_machinery(self) -> bool:
        """True if workers or storage may be the cause, so that every other video may fail too."""
        return self in (Cause.WORKER, Cause.NODE, Cause.STORAGE)

    @property
    def waits(self) -> bool:
        """True if the failure row is withheld until another call succeeds, because the video may not be the cause."""
        return self.blames_machinery or self is Cause.DENIED


def cause_of(error: BaseException) -> Cause:
    """Why a call has no value, by what it raised, or by what Ray raised in its place."""
    if isinstance(error, VideoDeniedError):
        return Cause.DENIED
    if isinstance(error, ENDS_RUN):
        return Cause.RUN
    if isinstance(error, StorageError) and not isinstance(error, NotFoundError):
        return Cause.STORAGE
    if isinstance(error, _ray("RuntimeEnvSetupError", "TaskUnschedulableError", "OutOfDiskError")):
        return Cause.RUN
    if isinstance(error, _ray("NodeDiedError")):
        return Cause.NODE
    if isinstance(error, MemoryError | DeviceError | WorkerDiedError) or _in_place_of_a_result(error):
        return Cause.WORKER
    return Cause.INPUT


def describe(error: BaseException) -> str:
    """`error` as one line, for a failure row."""
    if isinstance(error, (MemoryError, *_ray("OutOfMemoryError"))):
        return "its worker ran out of memory; give it --ray.memory-gib, or take fewer --ray.workers"
    if isinstance(error, _ray("NodeDiedError")):
        return "its node was lost"
    if isinstance(error, WorkerDiedError):
        return f"its worker died ({error})"
    if _in_place_of_a_result(error):
        return f"its worker died ({type(error).__name__})"
    message = " ".join(str(error).split())
    return message if isinstance(error, Hf2vadError) else f"{type(error).__name__}: {message}"


def ending(error: BaseException) -> Hf2vadError:
    """Exception that ends the run, for an error whose cause is RUN."""
    if isinstance(error, Hf2vadError):
        return error
    return DispatchError(f"Ray cannot run the work: {type(error).__name__}: {' '.join(str(error).split())[:300]}")


def pause(cause: Cause, tries: int) -> float:
    """Seconds before a call that failed `tries` times is started again; random, so that not all come back at once."""
    if cause is not Cause.STORAGE:
        return 0.0
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1))


def _ray(*names: str) -> tuple[type[BaseException], ...]:
    """Exception classes of Ray; none where Ray is not loaded, since then it cannot have raised one."""
    exceptions: Any = sys.modules.get("ray.exceptions")
    return tuple(getattr(exceptions, name) for name in names) if exceptions else ()


def _in_place_of_a_result(error: BaseException) -> bool:
    """True if Ray itself raised `error` because the call produced neither a value nor an exception."""
    return isinstance(error, _ray("RayError")) and not isinstance(error, _ray("RayTaskError"))
