"""Engine `tensorrt`: the inference form, exported and built by TensorRT into an engine file for one kind of GPU.

Torch-TensorRT builds it; to run it, NVIDIA's `tensorrt` alone is needed. The file is TensorRT's own format, no pickle.
Numbers are those of the exported graph ("strongly typed"): fp16 or bf16 weights and features, with the softmax of the
memories and the sums of errors in fp32.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hf2vad.engines.aot import export_network
from hf2vad.engines.network import EngineInputs, NetworkEngine
from hf2vad.errors import EngineError

INSTALL = "pip install 'hf2vad[tensorrt]' --extra-index-url https://pypi.nvidia.com"


def no_tensorrt(device: torch.device, packages: tuple[str, ...] = ("torch_tensorrt", "tensorrt")) -> str:
    """Why TensorRT cannot be used here; empty where it can."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        return f"the Python package {' and '.join(missing)} is not installed; {INSTALL}"
    return "" if device.type == "cuda" else f"it needs a GPU, and the network runs on {device.type}"


def build_tensorrt(inputs: EngineInputs, path: Path) -> None:
    """Build an engine file at `path`, for batches of 1 to `inputs.batch`.

    Raises EngineError where TensorRT is missing or refuses the network.
    """
    if reason := no_tensorrt(inputs.device):
        raise EngineError(f"engine tensorrt cannot be built: {reason}; or use another --engine")
    import torch_tensorrt  # type: ignore[import-not-found]

    shapes = [tuple(tensor.shape[1:]) for tensor in inputs.tensors()]
    ranges = [
        torch_tensorrt.Input(
            min_shape=(1, *shape), opt_shape=(inputs.batch, *shape), max_shape=(max(2, inputs.batch), *shape)
        )
        for shape in shapes
    ]
    try:
        data = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            export_network(inputs, dynamic=True),
            arg_inputs=ranges,
            require_full_compilation=True,
            disable_tf32=inputs.precision != "tf32",
            use_explicit_typing=True,
        )
    except (RuntimeError, AssertionError, ValueError) as error:
        raise EngineError(f"engine tensorrt cannot be built: {error}") from None
    path.write_bytes(data)


def load_tensorrt(path: Path, inputs: EngineInputs) -> NetworkEngine:
    """Load the engine file at `path`. Raises EngineError where TensorRT is missing or refuses the file."""
    if reason := no_tensorrt(inputs.device, ("tensorrt",)):
        raise EngineError(f"engine tensorrt cannot run: {reason}; or use another --engine")
    return NetworkEngine(TensorRT(path.read_bytes(), inputs.device), inputs)


class TensorRT:
    """An engine file in use."""

    def __init__(self, data: bytes, device: torch.device) -> None:
        import tensorrt as trt  # type: ignore[import-not-found]

        self._device = device
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineError("TensorRT cannot read the engine file; build it again (hf2vad build-engine)")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self._inputs = [name for name in names if modes[name] == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if modes[name] == trt.TensorIOMode.OUTPUT]
        types: dict[Any, torch.dtype] = {trt.float32: torch.float32, trt.int64: torch.int64, trt.int32: torch.int32}
        self._types = {name: types[self._engine.get_tensor_dtype(name)] for name in self._outputs}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = [tensor.contiguous() for tensor in inputs]
        for name, tensor in zip(self._inputs, given, strict=True):
            self._context.set_input_shape(name, tuple(tensor.shape))
            self._context.set_tensor_address(name, tensor.data_ptr())
        outputs = []
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            outputs.append(torch.empty(shape, dtype=self._types[name], device=self._device))
            self._context.set_tensor_address(name, outputs[-1].data_ptr())
        stream = torch.cuda.current_stream(self._device)
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise EngineError("TensorRT could not run the engine; build it again (hf2vad build-engine)")
        stream.synchronize()  # until then `given` must live
        return tuple(outputs)
