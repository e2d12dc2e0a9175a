from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.bundle.bundle import Calibration
from hf2vad.errors import BundleError, ConfigError
from hf2vad.features.settings import FusionConfig
from hf2vad.scoring.fuse import Parts, fuse, runs, smooth, zero_error_score

CALIBRATION = Calibration(
    flow_mean=10.0, flow_std=2.0, frame_mean=100.0, frame_std=50.0, threshold=3.0, low=2.0, cubes=10, frames=5
)
NAN = float("nan")

scores = st.lists(st.one_of(st.just(NAN), st.integers(-50, 50).map(float)), max_size=60)


def parts(**values: list[float]) -> Parts:
    """Cubes with these parts, the others 0."""
    (count,) = {len(column) for column in values.values()}
    nothing = vars(Parts.nothing(count))
    return Parts(**{**nothing, **{name: np.array(column, np.float32) for name, column in values.items()}})


def test_the_fused_score_is_equation_9() -> None:
    found = fuse(
        parts(flow=[10, 14, 6], frame=[100, 150, 0], speed=[9, 9, 9], motion=[9, 9, 9]),
        CALIBRATION,
        FusionConfig(flow=1, frame=0.1),
    )
    assert found.tolist() == pytest.approx([0.0, 2.0 + 0.1 * 1.0, -2.0 - 0.1 * 2.0])
    assert found.dtype == np.float64


def test_a_weight_of_zero_leaves_an_error_out() -> None:
    both = parts(flow=[14], frame=[150])
    assert fuse(both, CALIBRATION, FusionConfig(flow=3, frame=0)).tolist() == [6.0]
    assert fuse(both, CALIBRATION, FusionConfig(flow=0, frame=3)).tolist() == [3.0]


def test_speed_and_motion_are_parts_of_the_same_form() -> None:
    calibration = replace(CALIBRATION, speed_mean=1.0, speed_std=0.5, motion_mean=2.0, motion_std=4.0)
    fusion = FusionConfig(flow=0, frame=0, speed=2, motion=3)
    found = fuse(parts(flow=[99], frame=[99], speed=[3], motion=[10]), calibration, fusion)
    assert found.tolist() == [2 * (3 - 1) / 0.5 + 3 * (10 - 2) / 4]
    assert zero_error_score(calibration, fusion) == 2 * -2 + 3 * -0.5


def test_in_box_heights_lengths_shrink_with_the_height_and_squares_with_its_square() -> None:
    found = parts(flow=[8, 8], frame=[5, 5], speed=[4, 4], motion=[3, 3]).in_heights(np.array([2.0, 0.5]))
    assert (found.flow.tolist(), found.speed.tolist()) == ([2.0, 32.0], [2.0, 8.0])
    assert (found.frame.tolist(), found.motion.tolist()) == ([5.0, 5.0], [3.0, 3.0])


def test_a_cube_without_error_scores_what_both_means_are_worth() -> None:
    assert zero_error_score(CALIBRATION, FusionConfig(flow=1, frame=0.1)) == pytest.approx(-5.0 - 0.1 * 2.0)


@given(
    flow=st.floats(0, 1e6, width=32),
    frame=st.floats(0, 1e6, width=32),
    weights=st.tuples(st.floats(0, 2), st.floats(0.01, 2)),
)
def test_no_cube_scores_below_one_without_error(flow: float, frame: float, weights: tuple[float, float]) -> None:
    fusion = FusionConfig(flow=weights[0], frame=weights[1])
    found = fuse(parts(flow=[flow], frame=[frame]), CALIBRATION, fusion)[0]
    assert found >= zero_error_score(CALIBRATION, fusion)


@pytest.mark.parametrize("change", [{"flow_std": 0.0}, {"frame_std": -1.0}, {"flow_mean": NAN}, {"low": -np.inf}])
def test_a_calibration_that_cannot_scale_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="calibration"):
        replace(CALIBRATION, **change)


def test_a_short_spike_is_smoothed_away_and_a_long_one_stays() -> None:
    values = np.array([0, 0, 9, 0, 0, 0, 7, 7, 7, 0, 0], float)
    assert smooth(values, 3).tolist() == [0, 0, 0, 0, 0, 0, 7, 7, 7, 0, 0]
    assert values[2] == 9


def test_edges_repeat_so_that_no_low_scores_are_invented_there() -> None:
    assert smooth(np.full(5, 4.0), 17).tolist() == [4.0] * 5
    assert smooth(np.array([9.0, 8.0, 1.0, 1.0, 1.0, 5.0]), 5).tolist() == [9.0, 8.0, 1.0, 1.0, 1.0, 5.0]


def test_a_frame_without_score_parts_its_neighbours() -> None:
    values = np.array([1, 5, NAN, 2, 2, NAN, NAN, 8])
    assert smooth(values, 3) == pytest.approx(values, nan_ok=True)
    assert smooth(np.array([1, 5, 2, 2.0]), 3).tolist() == [1, 2, 2, 2]


@settings(max_examples=100, deadline=None)
@given(values=scores, half=st.integers(0, 5))
def test_smoothing_is_the_median_of_the_window_within_its_run(values: list[float], half: int) -> None:
    found = smooth(np.array(values, float), 2 * half + 1)
    assert len(found) == len(values)
    for i, value in enumerate(values):
        if np.isnan(value):
            assert np.isnan(found[i])
            continue
        first = last = i
        while first > 0 and not np.isnan(values[first - 1]):
            first -= 1
        while last + 1 < len(values) and not np.isnan(values[last + 1]):
            last += 1
        window = [values[min(max(j, first), last)] for j in range(i - half, i + half + 1)]
        assert found[i] == statistics.median(window)


@pytest.mark.parametrize("window", [0, 2, 16, -1])
def test_an_even_window_is_refused(window: int) -> None:
    with pytest.raises(ConfigError, match=f"smoothing must be an odd number of frames, got {window}"):
        smooth(np.zeros(20), window)


def test_a_window_of_one_and_a_video_without_scores_stay_as_they_are() -> None:
    values = np.array([3.0, NAN, -1.0, 4.0])
    assert smooth(values, 1) == pytest.approx(values, nan_ok=True)
    assert np.isnan(smooth(np.full(4, NAN), 3)).all()
    assert smooth(np.empty(0), 3).tolist() == []


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("", []),
        ("...", []),
        ("###", [(0, 3)]),
        ("#..##.#", [(0, 1), (3, 5), (6, 7)]),
        (".##.", [(1, 3)]),
    ],
)
def test_runs_are_found_with_their_ends_exclusive(marks: str, expected: list[tuple[int, int]]) -> None:
    assert runs(np.array([mark == "#" for mark in marks], bool)) == expected


@given(holds=st.lists(st.booleans(), max_size=50))
def test_runs_cover_what_holds_and_never_touch(holds: list[bool]) -> None:
    found = runs(np.array(holds, bool))
    covered = np.zeros(len(holds), bool)
    for start, stop in found:
        covered[start:stop] = True
    assert covered.tolist() == holds
    assert all(before[1] < after[0] for before, after in pairwise(found))
