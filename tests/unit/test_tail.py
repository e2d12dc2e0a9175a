from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.errors import BundleError
from hf2vad.features.tail import CENSORED, LEVELS, SHRINK, CameraTail, Tail, counted_tail, fit_tail, own_share
from hf2vad.scoring.words import duration_words, one_in, rarity_words, score_rarity

finite = st.floats(-1e6, 1e6, width=32)


def test_surprise_says_how_rare_a_value_is_and_goes_on_beyond_all_that_was_seen() -> None:
    drawn = np.random.default_rng(0).exponential(2.0, 50_000)
    tail = fit_tail(drawn)
    for rarity in (0.5, 1.0, 2.0, 3.0, 6.0):
        value = np.array([2.0 * rarity * math.log(10)])
        assert tail.surprise(value)[0] == pytest.approx(rarity, rel=0.06), rarity
    assert tail.supported == pytest.approx(math.log10(50_000))


def test_held_out_values_are_as_rare_as_their_surprise_says() -> None:
    rng = np.random.default_rng(1)
    tail = fit_tail(rng.gamma(3, 1, 20_000))
    surprise = tail.surprise(rng.gamma(3, 1, 200_000))
    for level in (1, 2, 3):
        assert (surprise > level).mean() == pytest.approx(10.0**-level, rel=0.35), level


def test_anomalies_among_the_training_cubes_count_but_not_by_how_far_off_they_are() -> None:
    clean = np.random.default_rng(2).exponential(1.0, 10_000)
    count = int(0.8 * CENSORED * len(clean))
    near, far = (fit_tail(np.concatenate([clean, np.full(count, value)])) for value in (30.0, 3000.0))
    assert near == far
    assert near.scale < 3 * fit_tail(clean).scale


@settings(max_examples=60)
@given(values=st.lists(finite, min_size=1, max_size=300), asked=st.lists(finite, min_size=2, max_size=50))
def test_surprise_is_finite_never_negative_and_never_smaller_for_a_larger_value(
    values: list[float], asked: list[float]
) -> None:
    tail = fit_tail(np.array(values, np.float32))
    surprise = tail.surprise(np.sort(np.array(asked, np.float32)))
    assert np.isfinite(surprise).all()
    assert (surprise >= 0).all()
    assert (np.diff(surprise) >= 0).all()
    assert tail.surprise(np.array([min(values)], np.float32))[0] == 0


def test_equal_training_values_make_any_larger_one_surprising_and_stay_usual_themselves() -> None:
    tail = fit_tail(np.full(500, 3.0, np.float32))
    assert tail.surprise(np.array([0.0, 3.0, 3.5])).tolist() == [
        0.0,
        0.0,
        pytest.approx(0.5 / tail.scale / math.log(10)),
    ]


@settings(max_examples=60)
@given(shares=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.4, 1.3, 2.7, 9.0]), min_size=1, max_size=300))
def test_values_that_were_counted_are_as_rare_as_they_are_and_none_is_rarer_than_the_footage_supports(
    shares: list[float],
) -> None:
    values = np.array(shares)
    tail = counted_tail(values)
    for value, surprise in zip(values, tail.surprise(values), strict=True):
        assert surprise == pytest.approx(math.log10((len(values) + 1) / ((values >= value).sum() + 1)))
    largest = max(values.max(), math.log10(len(values) + 1))
    assert tail.surprise(np.array([largest]))[0] <= math.log10(len(values) + 1) + 1e-9


def test_a_distribution_of_many_counted_values_is_kept_in_few_points() -> None:
    values = np.random.default_rng(5).exponential(0.3, 20_000)
    tail = counted_tail(values)
    assert len(tail.values) <= LEVELS + 1
    for surprise in (1.0, 2.0, 3.0):
        value = np.quantile(values, 1 - 10.0**-surprise)
        assert tail.surprise(np.array([value]))[0] == pytest.approx(surprise, abs=0.1)


def test_a_tail_survives_the_bundles_json_unchanged() -> None:
    tail = fit_tail(np.random.default_rng(3).normal(0, 1, 5000).astype(np.float32))
    assert Tail.from_json(json.loads(json.dumps(tail.to_json()))) == tail


@pytest.mark.parametrize(
    "change",
    [{"scale": 0.0}, {"scale": math.inf}, {"values": (1.0, 1.0)}, {"values": (1.0,)}, {"values": (0.0, math.nan)}],
)
def test_a_tail_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="tail: "):
        Tail(**{"values": (0.0, 1.0), "surprises": (0.0, 2.0), "scale": 1.0, "cubes": 9, **change})  # type: ignore[arg-type]


def test_a_camera_leans_on_all_cameras_the_more_the_fewer_cubes_it_has() -> None:
    rng = np.random.default_rng(4)
    overall = fit_tail(rng.exponential(1.0, 50_000))
    value = np.array([9.0])
    usual_elsewhere = overall.surprise(value)[0]
    found = []
    for cubes in (20, 200, 1000, 20_000):
        own = fit_tail(rng.exponential(3.0, cubes))
        camera = CameraTail(own, overall)
        share = cubes / (cubes + SHRINK)
        mixed = -math.log10(share * 10 ** -own.surprise(value)[0] + (1 - share) * 10**-usual_elsewhere)
        assert camera.surprise(value)[0] == pytest.approx(mixed)
        found.append(camera.surprise(value)[0])
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(9 / 3 / math.log(10), rel=0.15)


def test_there_is_no_cliff_between_cameras_with_and_without_enough_cubes() -> None:
    shares = [own_share(cubes) for cubes in range(1, 30_000)]
    assert max(np.diff(shares)) < 0.001
    assert 0 < shares[0] < 0.001
    assert shares[-1] > 0.8


def test_a_surprise_is_said_as_one_in_so_many_and_never_rarer_than_the_footage_can_tell() -> None:
    assert [one_in(s) for s in (0, 1, 2, 3.9, 3.91, 4, 6.31)] == [
        "1 in 1", "1 in 10", "1 in 100", "1 in 7,000", "1 in 8,000", "1 in 10,000", "1 in 2,000,000",
    ]  # fmt: skip
    assert rarity_words(0.9, 4.4) == "usual"
    assert rarity_words(3.95, 4.4) == "1 in 8,000"
    assert rarity_words(60.0, 4.4) == "beyond 1 in 20,000"


def test_a_score_is_said_as_how_often_it_came_and_not_rarer_than_the_footage_can_tell() -> None:
    assert score_rarity(0.5, 4.4, 0.0) == "As usual as nine in ten objects"
    assert score_rarity(3.95, 4.4, 0.0) == "Rarer than 1 in 8,000 objects"
    assert score_rarity(3.6, 4.4, 2.0) == "Rarer than 1 in 3,000 objects, about once in 33 minutes of what was learnt"
    assert score_rarity(1.2, 4.4, 60.0) == "Rarer than 1 in 10 objects, more than once in a second of what was learnt"
    assert score_rarity(9.0, 4.4, 2.0) == "Rarer than 1 in 20,000 objects, as far as the footage learnt from can tell"
    said = [duration_words(seconds) for seconds in (1, 89, 91, 5399, 5401, 130_000)]
    assert said == ["1 second", "89 seconds", "2 minutes", "90 minutes", "2 hours", "2 days"]
