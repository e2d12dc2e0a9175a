from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.flow import FlowEstimator
from hf2vad.cubes.settings import FlowConfig
from hf2vad.errors import VideoError
from hf2vad.schema import F32, U8


def textured(width: int, height: int, seed: int = 0) -> U8:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (9, 9), 0), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def flow_between(before: U8, after: U8, config: FlowConfig) -> F32:
    estimator = FlowEstimator(config, width=before.shape[1], height=before.shape[0])
    return estimator.between(estimator.prepare(before), estimator.prepare(after))


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "fast_half", "medium"])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_flow_is_where_pixels_go_in_source_pixels_whatever_the_scale(preset: str, scale: float) -> None:
    scene = textured(180, 140)
    config = FlowConfig(preset=preset, scale=scale)  # type: ignore[arg-type]
    flow = flow_between(scene[10:130, 10:170], scene[9:129, 7:167], config)
    assert flow.shape == (120, 160, 2)
    assert flow.dtype == np.float32
    # DIS ends at a quarter or half of the resolution that it is given, so it is coarser without enlargement
    assert np.median(flow[20:-20, 20:-20], axis=(0, 1)) == pytest.approx([3, 1], abs=0.2 if scale == 1 else 0.1)


def test_vectors_can_stay_in_pixels_of_the_enlarged_frame() -> None:
    scene = textured(180, 140)
    before, after = scene[10:130, 10:170], scene[9:129, 7:167]
    source = flow_between(before, after, FlowConfig(units="source"))
    enlarged = flow_between(before, after, FlowConfig(units="enlarged"))
    assert np.array_equal(enlarged, 2 * source)


def test_each_axis_is_divided_by_its_own_enlargement() -> None:
    scene = textured(90, 60)
    config = FlowConfig(scale=1.5)
    source = flow_between(scene[:33, :51], scene[1:34, 2:53], config)
    enlarged = flow_between(scene[:33, :51], scene[1:34, 2:53], FlowConfig(scale=1.5, units="enlarged"))
    np.testing.assert_allclose(source * [round(51 * 1.5) / 51, round(33 * 1.5) / 33], enlarged, rtol=1e-5, atol=1e-6)


def test_half_of_the_resolution_without_enlarging_is_as_fine_as_a_quarter_of_twice_the_size() -> None:
    """A narrow thing moves: `fast` at scale 1 sees too little of it."""
    ground = textured(200, 160)
    before, after = ground.copy(), ground.copy()
    thing = textured(10, 30, 7)
    before[60:90, 80:90], after[60:90, 82:92] = thing, thing

    def speed(preset: str, scale: float) -> float:
        flow = flow_between(before, after, FlowConfig(preset=preset, scale=scale))  # type: ignore[arg-type]
        return float(flow[65:85, 82:88, 0].mean())

    assert speed("fast_half", 1.0) == pytest.approx(speed("fast", 2.0), abs=0.3)
    assert speed("fast", 1.0) < speed("fast", 2.0) - 0.5


def test_a_still_scene_does_not_flow() -> None:
    scene = textured(100, 80)
    assert np.abs(flow_between(scene, scene, FlowConfig())).max() < 0.01


def test_flow_depends_on_its_two_frames_alone() -> None:
    frames = [textured(96, 72, seed) for seed in range(4)]
    estimator = FlowEstimator(FlowConfig(), width=96, height=72)
    large = [estimator.prepare(frame) for frame in frames]
    first = estimator.between(large[0], large[1])
    before = first.copy()
    estimator.between(large[2], large[3])
    assert np.array_equal(first, before)
    assert np.array_equal(estimator.between(large[0], large[1]), before)
    assert np.array_equal(flow_between(frames[0], frames[1], FlowConfig()), before)


def test_a_region_that_is_small_for_flow_changes_no_flow_after_it() -> None:
    """Around a small box in a corner of the picture."""
    before, after = textured(320, 240), textured(320, 240, 1)
    estimator = FlowEstimator(FlowConfig(region="boxes"), width=320, height=240)
    large = [(64, 64, 256, 224)]
    first = estimator.around(before, after, large)
    estimator.around(before, after, [(0, 0, 32, 32)])
    assert estimator.around(before, after, large).tobytes() == first.tobytes()


def test_flow_does_not_depend_on_the_threads_of_opencv() -> None:
    assert cv2.getNumThreads() == 1
    scene = textured(400, 300)
    one = flow_between(scene[2:], scene[:-2], FlowConfig())
    try:
        cv2.setNumThreads(4)
        four = flow_between(scene[2:], scene[:-2], FlowConfig())
    finally:
        cv2.setNumThreads(1)
    assert np.array_equal(one, four)


@settings(max_examples=60)
@given(
    width=st.integers(4, 90),
    height=st.integers(4, 90),
    scale=st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.3]),
    preset=st.sampled_from(["ultrafast", "fast", "fast_half", "medium"]),
)
def test_frames_of_any_size_from_4_pixels_have_finite_flow(width: int, height: int, scale: float, preset: str) -> None:
    config = FlowConfig(preset=preset, scale=scale)  # type: ignore[arg-type]
    flow = flow_between(textured(width, height), textured(width, height, 1), config)
    assert flow.shape == (height, width, 2)
    assert np.isfinite(flow).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 3), (640, 3), (2, 360)])
def test_frames_too_small_for_flow_are_refused_by_their_size(width: int, height: int) -> None:
    with pytest.raises(VideoError, match=f"{width}×{height} are too small.*need 4 pixels"):
        FlowEstimator(FlowConfig(), width=width, height=height)
