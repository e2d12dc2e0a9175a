from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.errors import BundleError, ConfigError
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.schema import F32, F64
from hf2vad.scoring.scorer import FeatureValues, Scorer, frame_scores, in_heights
from hf2vad.scoring.smooth import smooth
from hf2vad.video.times import runs
from tests.bundles import normal

CALIBRATION = normal(flow=(10.0, 2.0), frame=(100.0, 50.0))
NAN = float("nan")

scores = st.lists(st.one_of(st.just(NAN), st.integers(-50, 50).map(float)), max_size=60)


def values(**features: list[float]) -> FeatureValues:
    return {name: np.array(column, np.float32) for name, column in features.items()}


def test_the_fused_score_is_equation_9() -> None:
    scorer = Scorer.eq9(FusionConfig(flow=1, frame=0.1), CALIBRATION)
    found = scorer.score(values(flow=[10, 14, 6], frame=[100, 150, 0], speed=[9, 9, 9], motion=[9, 9, 9]))
    assert found.tolist() == pytest.approx([0.0, 2.0 + 0.1 * 1.0, -2.0 - 0.1 * 2.0])
    assert found.dtype == np.float64


def test_a_weight_of_zero_leaves_an_error_out() -> None:
    both = values(flow=[14], frame=[150])
    assert Scorer.eq9(FusionConfig(flow=3, frame=0), CALIBRATION).score(both).tolist() == [6.0]
    assert Scorer.eq9(FusionConfig(flow=0, frame=3), CALIBRATION).score(both).tolist() == [3.0]


def test_a_feature_with_a_weight_must_have_been_measured() -> None:
    with pytest.raises(KeyError, match="frame"):
        Scorer.eq9(FusionConfig(), CALIBRATION).score(values(flow=[14]))


def test_speed_and_motion_are_terms_of_the_same_form() -> None:
    calibration = normal(speed=(1.0, 0.5), motion=(2.0, 4.0))
    scorer = Scorer.eq9(FusionConfig(flow=0, frame=0, speed=2, motion=3), calibration)
    measured = values(speed=[3], motion=[10])
    assert {name: term.tolist() for name, term in scorer.terms(measured).items()} == {"speed": [8.0], "motion": [6.0]}
    assert scorer.score(measured).tolist() == [2 * (3 - 1) / 0.5 + 3 * (10 - 2) / 4]
    assert scorer.empty == 2 * -2 + 3 * -0.5


def test_the_bits_of_a_score_are_those_of_earlier_releases() -> None:
    """Weight times deviation, divided by σ, added feature by feature: tables of earlier releases are compared with."""
    rng = np.random.default_rng(0)
    flow, frame = (rng.gamma(2, 30, 500).astype(np.float32) for _ in range(2))
    weights, (mean, std), (other_mean, other_std) = (1.0, 0.1), (310.7, 1 / 3), (12.5, 0.7)
    expected = weights[0] * (flow.astype(np.float64) - mean) / std
    expected += weights[1] * (frame.astype(np.float64) - other_mean) / other_std
    scorer = Scorer.eq9(FusionConfig(), normal(flow=(mean, std), frame=(other_mean, other_std)))
    assert np.array_equal(scorer.score({"flow": flow, "frame": frame}), expected)


def test_in_box_heights_lengths_shrink_with_the_height_and_squares_with_its_square() -> None:
    found = in_heights(values(flow=[8, 8], frame=[5, 5], speed=[4, 4], motion=[3, 3]), np.array([2.0, 0.5]))
    assert {name: column.tolist() for name, column in found.items()} == {
        "flow": [2.0, 32.0],
        "frame": [5.0, 5.0],
        "speed": [2.0, 8.0],
        "motion": [3.0, 3.0],
    }


def test_a_scorer_measures_in_heights_only_where_the_fusion_says_so() -> None:
    near_and_far = np.array([[0, 0, 9, 40], [0, 0, 9, 20]], np.float32)
    ground = Perspective(intercept=0.0, slope=0.5, mean=10.0)
    speed = values(speed=[4, 4])
    for perspective, expected in ((True, [2.0, 4.0]), (False, [4.0, 4.0])):
        fusion = FusionConfig(flow=0, frame=0, speed=1, perspective=perspective)
        scorer = Scorer.eq9(fusion, normal(speed=(0.0, 1.0)), ground)
        assert scorer.in_units(speed, near_and_far)["speed"].tolist() == expected


def test_a_cube_without_error_scores_what_both_means_are_worth() -> None:
    assert Scorer.eq9(FusionConfig(flow=1, frame=0.1), CALIBRATION).empty == pytest.approx(-5.0 - 0.1 * 2.0)


def test_the_rule_that_puts_features_on_one_scale_can_be_exchanged() -> None:
    class Steps:
        def term(self, values: F32, weight: float) -> F64:
            return weight * np.floor(values.astype(np.float64))

    scorer = Scorer({"speed": 2.0}, {"speed": Steps()})
    assert scorer.score(values(speed=[0.9, 1.5])).tolist() == [0.0, 2.0]
    assert scorer.empty == 0.0


def test_a_frame_scores_its_worst_cube_and_one_without_a_cube_what_it_is_given() -> None:
    found = frame_scores(np.array([1.0, 3.0, -9.0]), np.array([0, 0, 2]), 4, empty=-5.0)
    assert found.tolist() == [3.0, -5.0, -9.0, -5.0]


@given(
    flow=st.floats(0, 1e6, width=32),
    frame=st.floats(0, 1e6, width=32),
    weights=st.tuples(st.floats(0, 2), st.floats(0.01, 2)),
)
def test_no_cube_scores_below_one_without_error(flow: float, frame: float, weights: tuple[float, float]) -> None:
    scorer = Scorer.eq9(FusionConfig(flow=weights[0], frame=weights[1]), CALIBRATION)
    assert scorer.score(values(flow=[flow], frame=[frame]))[0] >= scorer.empty


@pytest.mark.parametrize(
    "change", [{"flow": (0.0, 0.0)}, {"frame": (1.0, -1.0)}, {"flow": (NAN, 1.0)}, {"low": -np.inf}]
)
def test_a_calibration_that_cannot_scale_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="calibration"):
        normal(**change)


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


@settings(max_examples=100)
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
