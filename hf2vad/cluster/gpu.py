"""What a worker does when its GPU fails: whatever it was at is not to blame, and the process may be of no use any more.

After an error in a kernel, or of the device itself, each later call on the GPU fails in that process too.
Where only memory is short, its own or that of others on the same GPU, nothing is broken.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Any

import ray
import ray._private.worker

from hf2vad.errors import DeviceError, DeviceMemoryError, Hf2vadError

UNLIMITED = 2**31 - 1
"""Calls after which Ray would end a worker by itself."""

_SAID = re.compile(r"\b(CUDA|CUDA driver|cuDNN|cuBLAS|cuFFT|NVRTC|HIP) (error|failure)\b|\bCU(BLAS|DNN)_STATUS_", re.I)
"""In errors of a GPU without a class of their own: torch's before 2.8, onnxruntime's, some libraries' still."""
_FULL = re.compile(r"out of memory|_STATUS_ALLOC_FAILED")


def remote(function: Callable[..., Any]) -> Any:
    """`function` for Ray, with errors of the GPU as DeviceErrors; a worker whose GPU has failed ends after the call."""
    return ray.remote(max_calls=UNLIMITED)(_watched(function))


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            failure = device_error(error)
            if failure is None:
                raise
            if not isinstance(error, _torch("OutOfMemoryError")):
                _end_after_this_call()
        raise failure  # here, so that nothing holds the tensors of the call any more

    return watched


def device_error(error: BaseException) -> DeviceError | None:
    """What `error` says of the GPU; none when it is no error of a GPU."""
    said = str(error).partition("\n")[0].strip()[:300]
    full = isinstance(error, _torch("OutOfMemoryError"))
    known = full or isinstance(error, _torch("AcceleratorError"))
    if not known and (isinstance(error, Hf2vadError) or not _SAID.search(str(error))):
        return None
    if full or _FULL.search(str(error)):
        return DeviceMemoryError(
            f"no memory was left on its GPU ({said}); take a smaller --batch when scoring, or let fewer workers share "
            "a GPU (a larger --ray.gpus, or fewer --ray.workers)"
        )
    return DeviceError(f"its GPU failed ({said})")


def _torch(name: str) -> Any:
    """An exception class of torch, where it has it; torch is not imported for that: without it, none can be raised."""
    return getattr(sys.modules.get("torch"), name, ())


def _end_after_this_call() -> None:
    """Have Ray end this process as if it had done all its calls, once the driver has the outcome of this one.

    An exit from here would leave the driver without the reason, and one a moment later would hit the next call.
    """
    manager: Any = ray._private.worker.global_worker.function_actor_manager
    manager.get_task_counter = lambda descriptor: UNLIMITED
