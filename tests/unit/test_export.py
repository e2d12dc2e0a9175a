"""What can be proved of TensorRT without TensorRT: its converters know the graph, and another runtime computes it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.export import ExportedProgram

from hf2vad.bundle.kept import ProbeCubes
from hf2vad.engines.aot import export_network
from hf2vad.engines.network import EngineInputs
from tests.data.make_golden import golden_network
from tests.stc import SMALL_MODEL, make_cubes

CONVERTED = json.loads((Path(__file__).parents[1] / "data" / "tensorrt_operators.json").read_text())
BATCH = 8
COSINE: dict[str, Any] = {"addressing": "cosine", "sharpness": 400.0}
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@cache
def inputs_of(name: str) -> EngineInputs:
    few = replace(SMALL_MODEL, condition="observed", flow_error="min")
    config = {"few": few, "many": replace(SMALL_MODEL, slots=600, **COSINE, flow_error="median")}[name]
    probe = ProbeCubes(*make_cubes(BATCH, 3))
    return EngineInputs(golden_network(config).eval(), probe, torch.device("cpu"), BATCH, "fp32")


@cache
def exported(name: str) -> ExportedProgram:
    return export_network(inputs_of(name), dynamic=True)


def operators(program: ExportedProgram) -> set[str]:
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    return {f"operator.{t.__name__}" if isinstance(t, BuiltinFunctionType) else str(t) for t in targets}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("few", {"GrownSlots"}), ("many", {"SomeSlots", "AllSlots"})])
def test_every_operator_of_the_exported_network_is_one_that_tensorrt_converts(name: str, expected: set[str]) -> None:
    assert {type(grow).__name__ for grow in inputs_of(name).network().autoencoder.grows} == expected
    found = operators(exported(name).run_decompositions())
    assert found - set(CONVERTED["operators"]) - set(CONVERTED["removed_before"]) == set()
    assert {"aten.convolution.default", "aten._softmax.default", "aten.elu.default"} <= found


@pytest.mark.slow
def test_another_runtime_computes_the_exported_network_with_equal_results(tmp_path: Path) -> None:
    given = inputs_of("many")
    path = tmp_path / "network.onnx"
    torch.onnx.export(exported("many"), dynamo=True, verbose=False).save(str(path))  # type: ignore[union-attr]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    assert names == ["context", "flows", "target"]
    for count in (BATCH, 3):
        inputs = [tensor[:count] for tensor in given.tensors()]
        found = session.run(None, {key: value.numpy() for key, value in zip(names, inputs, strict=True)})
        with torch.inference_mode():
            expected = given.model(*inputs)
        for ours, theirs in zip(found, expected, strict=False):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5)
        assert int(found[2]) == 0
