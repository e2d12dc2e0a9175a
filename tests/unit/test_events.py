from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.errors import ConfigError
from hf2vad.scoring.events import Event, find_events, thresholds
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.scoring.smooth import smooth
from tests.bundles import normal

CALIBRATION = normal(threshold=6.0, low=4.0)


def events(marks: str, **changes: Any) -> list[tuple[int, int, int]]:
    """Events in scores of one digit a frame; `x` is a frame without a score. Starts at 6, extends to 4."""
    scores = np.array([np.nan if mark == "x" else float(mark) for mark in marks])
    config = EventConfig(**{"min_length": 1, "merge_gap": 0, **changes})
    return [(event.start, event.stop, event.peak) for event in find_events(scores, config, CALIBRATION)]


def test_an_event_starts_at_the_high_threshold_and_extends_down_to_the_low_one() -> None:
    assert events("0345678543000") == [(2, 9, 6)]
    assert events("0555550") == []
    assert events("060") == [(1, 2, 1)]


def test_an_event_may_be_the_first_and_the_last_frame() -> None:
    assert events("70007") == [(0, 1, 0), (4, 5, 4)]
    assert events("777") == [(0, 3, 0)]
    assert events("") == []


def test_events_close_to_each_other_are_one() -> None:
    assert events("0700070", merge_gap=2) == [(1, 2, 1), (5, 6, 5)]
    assert events("0700070", merge_gap=3) == [(1, 6, 1)]
    assert events("70070080", merge_gap=2) == [(0, 7, 6)]


def test_a_run_that_never_reaches_the_high_threshold_bridges_nothing() -> None:
    assert events("7000550007", merge_gap=4) == [(0, 1, 0), (9, 10, 9)]


def test_short_events_are_dropped_after_merging() -> None:
    assert events("0777007", min_length=3) == [(1, 4, 1)]
    assert events("0770070", min_length=3) == []
    assert events("0770070", min_length=3, merge_gap=2) == [(1, 6, 1)]


def test_a_frame_without_score_ends_an_event_unless_the_gap_allows_it() -> None:
    assert events("77x88") == [(0, 2, 0), (3, 5, 3)]
    assert events("77x88", merge_gap=1) == [(0, 5, 3)]
    assert events("xxx") == []


def test_the_peak_is_the_first_of_the_highest() -> None:
    assert events("4768684") == [(0, 7, 3)]


def test_an_event_is_shown_by_the_nearest_frame_that_is_as_unusual_itself() -> None:
    smoothed, raw = np.array([0, 5, 7, 7, 7, 5, 0.0]), np.array([0, 9, 5, 1, np.nan, 8, 9.0])
    config = EventConfig(min_length=1)
    (event,) = find_events(smoothed, config, CALIBRATION, raw)
    assert (event.start, event.stop, event.peak, event.score) == (1, 6, 1, 7.0)
    (event,) = find_events(smoothed, config, CALIBRATION, raw, np.array([0, 1, 0, 0, 0, 0, 0], bool))
    assert (event.peak, event.score) == (5, 7.0), "what was not worked on has no objects of its own"
    (event,) = find_events(smoothed, config, CALIBRATION, np.minimum(raw, 6))
    assert (event.peak, event.score) == (2, 7.0), "where no frame is, by the highest smoothed score"


@settings(max_examples=200)
@given(raw=st.lists(st.integers(0, 9).map(float), min_size=1, max_size=60), half=st.integers(0, 6))
def test_what_shows_an_event_is_never_less_unusual_than_the_event(raw: list[float], half: int) -> None:
    own = np.array(raw)
    config = EventConfig(threshold=0.0, low=0.0, min_length=1)
    (event,) = find_events(smooth(own, 2 * half + 1), config, CALIBRATION, own)
    assert own[event.peak] >= event.score == smooth(own, 2 * half + 1).max()
    assert not half or abs(event.peak - int(smooth(own, 2 * half + 1).argmax())) <= half


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (EventConfig(), (6.0, 4.0)),
        (EventConfig(threshold=9.0), (9.0, 4.0)),
        (EventConfig(threshold=3.0), (3.0, 3.0)),
        (EventConfig(low=5.0), (6.0, 5.0)),
        (EventConfig(low=8.0), (6.0, 6.0)),
        (EventConfig(threshold=2.0, low=-1.0), (2.0, -1.0)),
    ],
)
def test_thresholds_are_the_settings_or_else_the_calibration(
    config: EventConfig, expected: tuple[float, float]
) -> None:
    assert thresholds(config, CALIBRATION) == expected


def test_given_thresholds_decide_events() -> None:
    assert events("0123210", threshold=3.0, low=2.0) == [(2, 5, 3)]
    assert events("0123210", threshold=3.0) == [(3, 4, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_length": 0}, "events.min_length must be positive"),
        ({"merge_gap": -1}, "events.merge_gap must not be negative"),
        ({"threshold": 1.0, "low": 2.0}, "events.low 2.0 is above events.threshold 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EventConfig(**change)


@settings(max_examples=300)
@given(
    values=st.lists(st.one_of(st.just(float("nan")), st.integers(0, 9).map(float)), max_size=80),
    min_length=st.integers(1, 6),
    merge_gap=st.integers(0, 6),
)
def test_events_are_disjoint_ordered_and_hold_their_peak(values: list[float], min_length: int, merge_gap: int) -> None:
    scores = np.array(values, float)
    found = find_events(scores, EventConfig(min_length=min_length, merge_gap=merge_gap), CALIBRATION)
    for event in found:
        assert 0 <= event.start <= event.peak < event.stop <= len(scores)
        assert event.stop - event.start >= min_length
        assert scores[event.peak] == np.nanmax(scores[event.start : event.stop]) >= 6
        assert min(scores[event.start], scores[event.stop - 1]) >= 4
        assert not event.start or not scores[event.start - 1] >= 4
        assert event.stop == len(scores) or not scores[event.stop] >= 4
    for before, after in pairwise(found):
        assert after.start - before.stop > merge_gap


@settings(max_examples=200)
@given(values=st.lists(st.integers(0, 9).map(float), max_size=80), merge_gap=st.integers(0, 6))
def test_every_frame_at_the_high_threshold_is_in_an_event(values: list[float], merge_gap: int) -> None:
    found: list[Event] = find_events(np.array(values), EventConfig(min_length=1, merge_gap=merge_gap), CALIBRATION)
    inside = {frame for event in found for frame in range(event.start, event.stop)}
    assert {frame for frame, value in enumerate(values) if value >= 6} <= inside


@pytest.mark.parametrize(
    ("rule", "fps", "expected"),
    [
        (SmoothingRule(17, 10.0), 10.0, (5, 25)),
        (SmoothingRule(17, 10.0), 25.0, (12, 62)),
        (SmoothingRule(17, 10.0), 2.0, (1, 5)),
        (SmoothingRule(17, 10.0), 0.2, (1, 0)),
        (SmoothingRule(17, 10.0), 0.0, (5, 25)),
        (SmoothingRule(17), 25.0, (5, 25)),
    ],
)
def test_lengths_are_of_the_time_that_scores_are_smoothed_over(
    rule: SmoothingRule, fps: float, expected: tuple[int, int]
) -> None:
    config = EventConfig(threshold=7.0, on_unhealthy=True)
    found = config.at_rate(rule, fps)
    assert (found.min_length, found.merge_gap) == expected
    assert replace(found, min_length=config.min_length, merge_gap=config.merge_gap) == config
