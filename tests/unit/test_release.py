from __future__ import annotations

import importlib.util
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.bundle.release import from_release, release_names
from hf2vad.errors import BundleError
from hf2vad.models.settings import ModelConfig
from hf2vad.presets import PRESETS
from tests.data.make_golden import golden_cubes, golden_network
from tests.stc import SMALL_MODEL

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no reference data in {SHARED}")


def released(config: ModelConfig = SMALL_MODEL) -> dict[str, Any]:
    """A checkpoint of the release, of a network with fixed weights, as arrays."""
    state = golden_network(config).state_dict()
    return {theirs: state[ours].numpy() for ours, theirs in release_names(config).items()}


def stand_in_weights() -> dict[str, Any]:
    """A checkpoint of the release at full size, whose answers are in release_golden.npz."""
    spec = importlib.util.spec_from_file_location("release_weights", SHARED / "release_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shapes = json.loads((SHARED / "release_state_dict.json").read_text())["state_dict"]
    weights: dict[str, Any] = module.release_weights(shapes, seed=0)
    return weights


@pytest.mark.parametrize("memories", [("bottleneck", "up3", "up2"), ("bottleneck", "up3")])
def test_a_released_checkpoint_comes_back_as_the_network_it_was(memories: Any) -> None:
    config = replace(SMALL_MODEL, memories=memories)
    model, inputs = from_release(released(config)), golden_cubes(3)
    original = golden_network(config)
    assert model.config == config
    assert not model.training
    for name, value in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    for ours, theirs in zip(model.errors(inputs), original.errors(inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_tensors_do_as_well_as_arrays_and_the_checkpoint_is_not_shared_with_the_network() -> None:
    state = {name: torch.tensor(value) for name, value in released().items()}
    model = from_release(state)
    name = "memAE.out_conv.conv.bias"
    before = model.flow_autoencoder.head.bias.detach().clone()
    state[name] += 1
    assert torch.equal(model.flow_autoencoder.head.bias, before)


@pytest.mark.parametrize("name", ["ped2", "shanghaitech", "compact"])
def test_names_are_one_to_one(name: Any) -> None:
    names = release_names(PRESETS[name].model)
    assert len(names) > 400
    assert max(Counter(names.values()).values()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "memAE.in_conv.conv.conv.0.weight",
        "memAE.up_2.up.bias",
        "vunet.f_phi.blocks.s3_1.conv2d.beta",
        "vunet.decoder.final_layer.gamma",
    ],
)
def test_a_missing_tensor_is_named(name: str) -> None:
    state = released()
    del state[name]
    with pytest.raises(BundleError, match=f"not a released HF2-VAD checkpoint: .*{name}"):
        from_release(state)


def test_a_checkpoint_without_any_memory_is_refused() -> None:
    state = {name: value for name, value in released().items() if "memMatrix" not in name}
    with pytest.raises(BundleError, match=r"not a released HF2-VAD checkpoint: .*memMatrix"):
        from_release(state)


@pytest.mark.parametrize("prefix", ["", "module.memAE."])
def test_an_unknown_tensor_is_named(prefix: str) -> None:
    with pytest.raises(BundleError, match=f"unexpected .*{prefix}extra"):
        from_release({**released(), f"{prefix}extra": np.zeros(3, np.float32)})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("memAE.out_conv.conv.weight", (3, 4, 1, 1)),
        ("memAE.mem2.memMatrix", (7, 1024)),
        ("vunet.zc.up.up.gamma", (1, 9, 1, 1)),
        ("vunet.f_phi.blocks.s2_1.conv2d.beta", (1, 12, 1, 1)),
        ("vunet.f_phi.blocks.s2_1.conv2d.beta", (16,)),
        ("memAE.in_conv.conv.conv.0.weight", ()),
    ],
)
def test_a_tensor_of_another_shape_is_refused(name: str, shape: tuple[int, ...]) -> None:
    state = released()
    assert state[name].shape != shape
    with pytest.raises(BundleError, match=r"released .*(has shape|must have three equal)"):
        from_release({**state, name: np.zeros(shape, np.float32)})


def test_something_else_altogether_is_refused() -> None:
    with pytest.raises(BundleError, match="not a released HF2-VAD checkpoint"):
        from_release({"conv1.weight": np.zeros((3, 3), np.float32)})


@pytest.mark.slow
@pytest.mark.shared
@needs_shared
def test_names_and_shapes_are_those_of_the_release() -> None:
    shapes = json.loads((SHARED / "release_state_dict.json").read_text())["state_dict"]
    model = golden_network(PRESETS["ped2"].model).state_dict()
    names = release_names(PRESETS["ped2"].model)
    assert {theirs: list(model[ours].shape) for ours, theirs in names.items()} == shapes
