"""Handling of a failed GPU in a worker. The work is not to blame, and the process may be unusable afterwards.

After an error in a kernel, or of the device itself, each later call on the GPU fails in that process too.
Where only memory is short, its own or that of others on the same GPU, nothing is broken.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

from hf2vad.errors import DeviceError, DeviceMemoryError, Hf2vadError

ENDING_SECONDS = 2.0
"""Seconds that a worker lives after its GPU failed, so that the driver receives the reason."""

_SAID = re.compile(r"\b(CUDA|CUDA driver|cuDNN|cuBLAS|cuFFT|NVRTC|HIP) (error|failure)\b|\bCU(BLAS|DNN)_STATUS_", re.I)
"""Messages of GPU errors that lack a class of their own: torch before 2.8, onnxruntime, some other libraries."""
_FULL = re.compile(r"out of memory|_STATUS_ALLOC_FAILED")

_failed = threading.Event()
"""True once the GPU of this worker has failed."""


def watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for a worker: raises errors of the GPU as DeviceErrors, and ends a worker whose GPU has failed.

    The worker ends once the driver has been told: when it is given another call, which is lost before it has begun, or
    else after ENDING_SECONDS. An exit at once would leave the driver without the reason.
    """

    @functools.wraps(function)
    def call(*args: Any) -> Any:  # pickled by value, so what it needs of this module is a function
        return _guarded(function, args)

    return call


def device_error(error: BaseException) -> DeviceError | None:
    """GPU message in `error`, or None if it is not a GPU error."""
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


def gpu_here() -> bool:
    """True if this machine has a usable GPU. Imports neither torch nor Ray."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1")
    return visible and any(os.path.exists(device) for device in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def _guarded(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if _failed.is_set():
        os._exit(1)
    try:
        return function(*args)
    except Exception as error:
        failure = device_error(error)
        if failure is None:
            raise
        if not isinstance(error, _torch("OutOfMemoryError")):
            _end_soon()
    raise failure  # here, so that nothing holds the tensors of the call any more


def _torch(name: str) -> Any:
    """An exception class of torch, where it has it; torch is not imported for that: without it, none can be raised."""
    return getattr(sys.modules.get("torch"), name, ())


def _end_soon() -> None:
    _failed.set()
    timer = threading.Timer(ENDING_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
