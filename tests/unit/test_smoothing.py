from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.commandline import parse
from hf2vad.errors import ConfigError
from hf2vad.evaluation.settings import Protocol
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.jobs.evaluate import JOB
from hf2vad.scoring.settings import Ends, SmoothingRule
from hf2vad.scoring.smooth import smooth
from hf2vad.settings import from_dict

NAN = float("nan")

scores = st.lists(st.one_of(st.just(NAN), st.integers(-50, 50).map(float)), max_size=60)


def window_of(values: list[float], frame: int, before: int, after: int, ends: Ends = "repeated") -> list[float]:
    """What a filter sees around `frame`: the run of scores it is in, its ends repeated or mirrored."""
    first = last = frame
    while first > 0 and not np.isnan(values[first - 1]):
        first -= 1
    while last + 1 < len(values) and not np.isnan(values[last + 1]):
        last += 1
    if ends == "mirrored":
        there_and_back = values[first : last + 1] + values[first : last + 1][::-1]
        return [there_and_back[(j - first) % len(there_and_back)] for j in range(frame - before, frame + after + 1)]
    return [values[min(max(j, first), last)] for j in range(frame - before, frame + after + 1)]


@pytest.mark.parametrize(
    ("fps", "window"), [(10, 17), (12.5, 21), (25, 43), (29.97, 51), (5, 9), (1, 1), (0.1, 1), (0, 17)]
)
def test_a_window_lasts_as_long_at_every_rate(fps: float, window: int) -> None:
    assert SmoothingRule(17, 10.0).window(fps) == window
    assert SmoothingRule(17).window(fps) == 17
    assert SmoothingRule(1, 10.0).window(fps) == 1


@given(smoothing=st.integers(1, 50), at=st.floats(0.1, 100), fps=st.floats(0.1, 1000))
def test_a_window_is_the_odd_number_of_frames_nearest_to_its_time(smoothing: int, at: float, fps: float) -> None:
    window, wanted = SmoothingRule(2 * smoothing + 1, at).window(fps), (2 * smoothing + 1) * fps / at
    assert window % 2 == 1
    assert window == 1 or abs(window - wanted) <= 1 + 1e-6
    assert window > 1 or wanted <= 2 + 1e-6


@settings(max_examples=100)
@given(values=scores, half=st.integers(0, 5), ends=st.sampled_from(("repeated", "mirrored")))
def test_the_median_is_that_of_scoring_and_of_the_frames_around(values: list[float], half: int, ends: Ends) -> None:
    found = Smoothing("median", 2 * half + 1, None, ends)(np.array(values, float))
    np.testing.assert_array_equal(found, smooth(np.array(values, float), 2 * half + 1, ends))
    for frame, value in enumerate(values):
        if not np.isnan(value):
            assert found[frame] == statistics.median(window_of(values, frame, half, half, ends))


@pytest.mark.parametrize("end", [0, -1])
def test_one_frame_at_an_end_stays_where_ends_are_repeated_and_goes_where_they_are_mirrored(end: int) -> None:
    scores = np.zeros(40)
    scores[end] = 9
    assert smooth(scores, 17)[end] == 9
    assert smooth(scores, 17, "mirrored").max() == 0
    scores[:10] = scores[-10:] = 9
    assert smooth(scores, 17, "mirrored")[end] == 9, "what lasts stays"


@settings(max_examples=100)
@given(values=scores, half=st.integers(0, 5))
def test_the_causal_median_is_that_of_the_frame_and_those_before_it(values: list[float], half: int) -> None:
    found = Smoothing("causal_median", 2 * half + 1, None)(np.array(values, float))
    for frame, value in enumerate(values):
        if np.isnan(value):
            assert np.isnan(found[frame])
        else:
            assert found[frame] == statistics.median(window_of(values, frame, 2 * half, 0))


@settings(max_examples=100)
@given(values=scores, more=scores, half=st.integers(0, 5))
def test_the_causal_median_of_a_frame_does_not_know_the_future(
    values: list[float], more: list[float], half: int
) -> None:
    causal = Smoothing("causal_median", 2 * half + 1, None)
    known = causal(np.array(values, float))
    np.testing.assert_array_equal(causal(np.array(values + more, float))[: len(values)], known)


@settings(max_examples=100)
@given(values=scores, half=st.integers(0, 5), sigma=st.floats(0.3, 5), ends=st.sampled_from(("repeated", "mirrored")))
def test_the_gaussian_weighs_the_frames_of_its_window(values: list[float], half: int, sigma: float, ends: Ends) -> None:
    found = Smoothing("gaussian", 2 * half + 1, sigma, ends)(np.array(values, float))
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    for frame, value in enumerate(values):
        if np.isnan(value):
            assert np.isnan(found[frame])
        else:
            expected = np.average(window_of(values, frame, half, half, ends), weights=weights)
            assert found[frame] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["median", "gaussian", "causal_median"])
def test_no_smoothing_changes_what_it_is_given_or_a_video_without_scores(kind: str) -> None:
    smoothing = Smoothing(kind, 3, 1.0)
    values = np.array([1.0, 9.0, 1.0, NAN])
    smoothing(values)
    assert values[:3].tolist() == [1, 9, 1]
    assert np.isnan(smoothing(np.full(4, NAN))).all()
    assert smoothing(np.empty(0)).tolist() == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ("median", 17, None)),
        (["--protocol.window", "9"], ("median", 9, None)),
        (["--protocol.smoothing", "none"], ("none", 1, None)),
        (["--protocol.smoothing", "causal_median"], ("causal_median", 17, None)),
        (["--protocol.smoothing", "gaussian"], ("gaussian", 17, 17 / 6)),
        (["--protocol.smoothing", "gaussian", "--protocol.window", "9"], ("gaussian", 9, 1.5)),
        (["--protocol.smoothing", "gaussian", "--protocol.sigma", "2.2"], ("gaussian", 19, 2.2)),
        (
            ["--protocol.smoothing", "gaussian", "--protocol.sigma", "4", "--protocol.window", "17"],
            ("gaussian", 17, 4.0),
        ),
    ],
)
def test_options_of_the_command_line_name_the_filter(
    options: list[str], expected: tuple[str, int, float | None]
) -> None:
    job = parse(JOB, ["--scores", "s", "--labels", "l", "--out", "o", *options], "hf2vad evaluate")
    assert Smoothing.of(job.protocol, 17) == Smoothing(*expected)
    mirrored = Smoothing.of(job.protocol, 17, "mirrored")
    assert mirrored == (Smoothing(*expected, "mirrored") if expected[0] != "none" else Smoothing(*expected))


def test_draws_tracks_and_oracle_are_options_that_are_off_or_usual_by_default() -> None:
    needed = ["--scores", "s", "--labels", "l", "--out", "o"]
    usual = parse(JOB, needed, "hf2vad evaluate")
    assert (usual.tracks, usual.oracle, usual.protocol.resamples, usual.protocol.seed) == ("", False, 1000, 0)
    options = ["--tracks", "t", "--oracle", "--protocol.resamples", "7", "--protocol.seed", "3"]
    chosen = parse(JOB, [*needed, *options], "hf2vad evaluate")
    assert (chosen.tracks, chosen.oracle, chosen.protocol.resamples, chosen.protocol.seed) == ("t", True, 7, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 4}, "protocol.window must be odd and positive, got 4"),
        ({"window": -3}, "protocol.window must be odd and positive, got -3"),
        ({"smoothing": "none", "window": 3}, "protocol.window is 3, but protocol.smoothing is none"),
        ({"sigma": 2.0}, "protocol.sigma is 2.0, but protocol.smoothing is median; it is for gaussian"),
        ({"smoothing": "gaussian", "sigma": 0.0}, "protocol.sigma must be above 0"),
        ({"smoothing": "gaussian", "sigma": NAN}, "protocol.sigma must be above 0"),
        ({"smoothing": "mean"}, "smoothing must be one of median, gaussian, causal_median, none, got 'mean'"),
        ({"resamples": -1}, "protocol.resamples must not be negative, got -1"),
        ({"seed": -1}, "protocol.seed must not be negative, got -1"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(Protocol, values)


@pytest.mark.parametrize("frames", [0, 4, -1])
def test_an_even_window_is_no_filter(frames: int) -> None:
    with pytest.raises(ConfigError, match="odd"):
        Smoothing("median", frames)
