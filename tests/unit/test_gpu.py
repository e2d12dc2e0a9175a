"""Which errors are the GPU's, in the words of torch 2.6 to 2.13, CUDA's libraries and onnxruntime."""

from __future__ import annotations

import pytest
import torch

from hf2vad.cluster.gpu import device_error
from hf2vad.cluster.policy import Cause, cause_of, describe
from hf2vad.errors import DeviceError, DeviceMemoryError, EngineError

HINTS = "\nCUDA kernel errors might be asynchronously reported at some other API call.\nFor debugging ..."
ACCELERATOR = getattr(torch, "AcceleratorError", RuntimeError)
"""Since torch 2.8; before, a RuntimeError of the same words."""


@pytest.mark.parametrize(
    "error",
    [
        ACCELERATOR(f"CUDA error: an illegal memory access was encountered{HINTS}"),
        pytest.param(
            ACCELERATOR("in other words"), marks=pytest.mark.skipif(ACCELERATOR is RuntimeError, reason="old")
        ),
        RuntimeError(f"CUDA error: uncorrectable ECC error encountered{HINTS}"),
        RuntimeError("CUDA driver error: device not ready"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb)`"),
        Exception("[ONNXRuntimeError] : 1 : FAIL : while running Conv:\nCUDA failure 700: an illegal memory access"),
    ],
)
def test_a_failed_gpu_is_the_workers_fault(error: Exception) -> None:
    found = device_error(error)
    assert type(found) is DeviceError
    assert cause_of(found) is Cause.WORKER
    assert describe(found) == f"its GPU failed ({str(error).splitlines()[0]})"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB of which 1 are free."),
        ACCELERATOR(f"CUDA error: out of memory{HINTS}"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_where_a_gpu_has_no_memory_left_it_says_what_to_do(error: Exception) -> None:
    found = device_error(error)
    assert type(found) is DeviceMemoryError
    assert cause_of(found) is Cause.WORKER
    assert str(error).splitlines()[0] in describe(found)
    for option in ("--batch", "--ray.gpus", "--ray.workers"):
        assert option in describe(found)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("nobody foresaw it"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        EngineError("this package is for another GPU: CUDA error: no kernel image is available"),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert device_error(error) is None
