from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.engines.eager import EagerEngine, NetworkErrors
from hf2vad.errors import ConfigError, ShapeError
from hf2vad.features.speed import flow_speed
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.schema import F16
from tests.stc import SMALL_MODEL, make_cubes

CPU = torch.device("cpu")
COUNT = 40
APPEARANCE, FLOW = make_cubes(COUNT, 5)


@pytest.fixture(scope="module")
def model() -> HF2VAD:
    torch.manual_seed(1)
    return HF2VAD(SMALL_MODEL)


@pytest.fixture(scope="module")
def engine(model: HF2VAD) -> EagerEngine:
    return EagerEngine(model, device=CPU, batch=16)


@pytest.fixture(scope="module")
def reference(engine: EagerEngine) -> NetworkErrors:
    return engine.errors(APPEARANCE, FLOW)


def test_errors_are_sums_of_squares_over_the_four_flows_and_the_last_frame(
    model: HF2VAD, reference: NetworkErrors
) -> None:
    model.eval()
    inputs = cube_tensors(APPEARANCE, FLOW, CPU)
    with torch.inference_mode():
        flows = model.reconstruct(inputs).flow
        frame = model.predict(inputs, flows, sample=False, prior=False).frame.numpy()
    observed = FLOW.astype(np.float32).transpose(0, 1, 4, 2, 3).reshape(COUNT, 8, 32, 32)
    target = APPEARANCE[:, 4].transpose(0, 3, 1, 2) / 255
    assert reference["flow"] == pytest.approx(np.square(flows.numpy() - observed).sum((1, 2, 3)), rel=1e-4)
    assert reference["frame"] == pytest.approx(np.square(frame - target).sum((1, 2, 3)), rel=1e-4)
    assert len(np.unique(reference["flow"])) == len(np.unique(reference["frame"])) == COUNT


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_size_does_not_change_scores(model: HF2VAD, reference: NetworkErrors, batch: int) -> None:
    found = EagerEngine(model, device=CPU, batch=batch).errors(APPEARANCE, FLOW)
    assert found["flow"] == pytest.approx(reference["flow"], rel=1e-5)
    assert found["frame"] == pytest.approx(reference["frame"], rel=1e-5)
    assert {found["flow"].dtype, found["frame"].dtype} == {np.dtype(np.float32)}


@pytest.mark.slow
@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, COUNT), max_size=5))
def test_scores_are_the_same_bits_however_cubes_are_grouped(
    engine: EagerEngine, reference: NetworkErrors, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), COUNT]
    parts = [engine.errors(APPEARANCE[a:b], FLOW[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([part["flow"] for part in parts]), reference["flow"])
    assert np.array_equal(np.concatenate([part["frame"] for part in parts]), reference["frame"])


@pytest.mark.parametrize("batch", [7, 16])
def test_what_lies_beside_a_cube_has_no_part_in_its_score(model: HF2VAD, batch: int) -> None:
    engine = EagerEngine(model, device=CPU, batch=batch)
    alone = engine.errors(APPEARANCE[:1], FLOW[:1])
    others, flows = make_cubes(batch, 99)
    others[0], flows[0] = APPEARANCE[0], FLOW[0]
    beside = engine.errors(others, flows)
    assert (alone["flow"][0], alone["frame"][0]) == (beside["flow"][0], beside["frame"][0])
    assert (alone["flow"][0], alone["frame"][0]) != (beside["flow"][1], beside["frame"][1])


def test_scoring_leaves_the_network_as_it_is_and_is_the_same_twice(
    model: HF2VAD, engine: EagerEngine, reference: NetworkErrors
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(77)
    again = engine.errors(APPEARANCE, FLOW)
    assert np.array_equal(again["flow"], reference["flow"])
    assert np.array_equal(again["frame"], reference["frame"])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_that_was_training_is_put_in_evaluation_mode(model: HF2VAD, reference: NetworkErrors) -> None:
    model.train()
    found = EagerEngine(model, device=CPU, batch=16).errors(APPEARANCE, FLOW)
    assert np.array_equal(found["frame"], reference["frame"])


def test_no_cubes_have_no_scores(engine: EagerEngine) -> None:
    found = engine.errors(APPEARANCE[:0], FLOW[:0])
    assert (found["flow"].shape, found["frame"].shape) == ((0,), (0,))
    assert {found["flow"].dtype, found["frame"].dtype} == {np.dtype(np.float32)}


def test_a_batch_below_one_is_refused(model: HF2VAD) -> None:
    with pytest.raises(ConfigError, match="--batch must be at least 1, got 0"):
        EagerEngine(model, device=CPU, batch=0)


def test_cubes_of_another_shape_are_refused(engine: EagerEngine) -> None:
    with pytest.raises(ShapeError, match=r"flow \(16, 3, 32, 32, 2\)"):
        engine.errors(APPEARANCE, FLOW[:, :3])


def uniform(*vectors: tuple[float, float]) -> F16:
    """A cube whose four flows are one vector each."""
    return np.array(vectors, np.float16).reshape(1, 4, 1, 1, 2) * np.ones((1, 4, 32, 32, 2), np.float16)


def test_speed_is_the_median_of_the_four_flows_lengths() -> None:
    assert flow_speed(uniform((3, 4), (0, 0), (6, 8), (0, -1))).tolist() == [3.0]
    assert flow_speed(uniform((3, 4), (3, 4), (3, 4), (300, 400))).tolist() == [5.0]


def test_speed_is_taken_pixel_by_pixel_and_averaged_over_the_crop() -> None:
    flow = uniform((1, 0), (1, 0), (1, 0), (1, 0))
    flow[0, :, :8, :] = (0, 9)
    flow[0, 0, 8:, :] = (50, 0)
    assert flow_speed(flow).tolist() == [0.25 * 9 + 0.75 * 1]


def test_speed_does_not_overflow_half_precision() -> None:
    assert flow_speed(uniform(*[(3000, 4000)] * 4)).tolist() == [5000.0]


def test_cubes_have_a_speed_each() -> None:
    several = flow_speed(FLOW)
    assert several.dtype == np.float32
    assert several.tolist() == pytest.approx([flow_speed(FLOW[i : i + 1])[0] for i in range(COUNT)])
    assert flow_speed(FLOW[:0]).shape == (0,)
