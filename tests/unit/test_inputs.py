from __future__ import annotations

import numpy as np
import pytest
import torch

from hf2vad.errors import ConfigError, ShapeError
from hf2vad.models.device import choose_device
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from tests.stc import SMALL_MODEL, make_cubes

CPU = torch.device("cpu")


def test_channels_are_time_major_pixels_from_0_to_1_and_flow_as_it_is() -> None:
    rng = np.random.default_rng(0)
    appearance = rng.integers(0, 256, (3, 5, 32, 32, 3), np.uint8)
    flow = rng.normal(0, 9, (3, 4, 32, 32, 2)).astype(np.float16)
    found = cube_tensors(appearance, flow, CPU)
    assert (found.context.shape, found.flows.shape, found.target.shape) == (
        (3, 12, 32, 32),
        (3, 8, 32, 32),
        (3, 3, 32, 32),
    )
    for colour in range(3):
        for frame in range(4):
            pixels = appearance[:, frame, :, :, colour].astype(np.float32) / 255
            assert np.array_equal(found.context[:, 3 * frame + colour].numpy(), pixels)
        assert np.array_equal(found.target[:, colour].numpy(), appearance[:, 4, :, :, colour].astype(np.float32) / 255)
    for field in range(4):
        for axis in range(2):
            assert np.array_equal(found.flows[:, 2 * field + axis].numpy(), flow[:, field, :, :, axis])


def test_without_pixels_the_frames_have_no_channel_and_the_flow_is_all_there() -> None:
    appearance, flow = make_cubes(2, seed=0)
    found, whole = cube_tensors(None, flow, CPU), cube_tensors(appearance, flow, CPU)
    assert found.context.shape == found.target.shape == (2, 0, 32, 32)
    assert torch.equal(found.flows, whole.flows)


def test_the_bytes_of_a_cube_are_copied() -> None:
    appearance, flow = make_cubes(1, seed=0)
    found = cube_tensors(appearance, flow, CPU)
    before = found.flows.clone()
    flow += 1
    assert torch.equal(found.flows, before)


def test_no_cubes_give_no_errors() -> None:
    appearance, flow = make_cubes(1, seed=0)
    inputs = cube_tensors(appearance[:0], flow[:0], CPU)
    assert inputs.context.shape == (0, 12, 32, 32)
    assert [tuple(error.shape) for error in HF2VAD(SMALL_MODEL).eval().errors(inputs)] == [(0,), (0,)]


@pytest.mark.parametrize(
    ("appearance", "flow"),
    [
        ((2, 5, 32, 32, 3), (2, 4, 32, 32)),
        ((2, 5, 32, 32, 3), (2, 4, 16, 16, 2)),
        ((2, 4, 32, 32, 3), (2, 4, 32, 32, 2)),
        ((3, 5, 32, 32, 3), (2, 4, 32, 32, 2)),
    ],
)
def test_another_shape_is_refused_with_the_right_one(appearance: tuple[int, ...], flow: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"a cube is \(5, 32, 32, 3\) pixels and \(4, 32, 32, 2\) flow, got"):
        cube_tensors(np.zeros(appearance, np.uint8), np.zeros(flow, np.float16), CPU)


def test_a_device_is_chosen_by_name_and_auto_takes_the_gpu_where_there_is_one() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:first"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="device must be auto, cpu, cuda or cuda:<number>, got"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=f"device cuda:{count} is not there: torch sees {count} GPUs"):
        choose_device(f"cuda:{count}")
