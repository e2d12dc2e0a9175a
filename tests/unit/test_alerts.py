from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad.evaluation.alerts import Alerts, alerts
from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation
from hf2vad.report.figures import alerts as in_words
from tests.scores import Frames, put_marks, put_scores


def of_video(marks: str, *events: tuple[int, int], labelled: str = "") -> Alerts:
    """Alerts of a video of 10 frames a second with one label a frame; `labelled` has `-` where there is no label."""
    frame = np.arange(len(marks))
    known = np.array([mark != "-" for mark in labelled or marks])
    anomalous = np.array([mark == "1" for mark in marks])
    return alerts(frame, frame / 10, np.ones(len(marks), bool), frame[known], anomalous[known], events)


def test_an_anomaly_is_told_by_any_alarm_that_shares_a_frame_with_it() -> None:
    found = of_video("0001110000111000", (5, 6), (15, 15))
    assert (found.anomalies, found.detected, found.alarms, found.false) == (2, 1, 2, 1)
    assert found.delays == (pytest.approx(0.2),)


def test_one_alarm_may_tell_two_anomalies_and_be_early() -> None:
    found = of_video("0011001100", (1, 9))
    assert (found.anomalies, found.detected, found.false, found.delays) == (2, 2, 0, (0.0, 0.0))


def test_an_alarm_that_touches_the_frame_beside_an_anomaly_is_false() -> None:
    assert of_video("0001110000", (6, 8)).false == 1
    assert of_video("0001110000", (5, 8)).false == 0


def test_an_alarm_where_nothing_is_labelled_does_not_count() -> None:
    found = of_video("0000000000", (1, 2), (6, 7), labelled="00000-----")
    assert (found.alarms, found.false, found.hours) == (1, 1, pytest.approx(0.5 / 3600))


def test_ratios_of_nothing_are_null() -> None:
    found = Alerts().figures()
    assert found["recall"] is found["precision"] is found["false_alarms_per_hour"] is found["delay_s_median"] is None


def test_counts_of_videos_add_up() -> None:
    both = of_video("0110", (1, 1)) + of_video("0000", (2, 3))
    found = both.figures()
    assert (found["recall"], found["precision"]) == (1.0, 0.5)
    assert found["false_alarms_per_hour"] == pytest.approx(3600 / 0.8)


def test_an_evaluation_says_what_its_events_come_to(tmp_path: Path) -> None:
    calm: list[Any] = [[5.0]]
    frames: Frames = [None] * 4 + calm * 6 + [[9.0]] * 6 + calm * 40 + [[9.0]] * 6 + calm * 4
    put_scores(tmp_path, "a", frames)
    labels = put_marks(tmp_path / "labels", a="0" * 12 + "1" * 8 + "0" * (len(frames) - 20))
    found = put_evaluation(EvaluateJob(scores=str(tmp_path), labels=labels, out=str(tmp_path / "out")))
    assert found["alerts"]["told"] == 1
    assert found["alerts"]["false_alarms"] == 1
    assert found["alerts"]["delay_s_median"] == 0
    assert "detected 1 of 1 anomaly (recall 1.0000), 0.0 s late" in in_words(found)
    assert "2 alarms, 1 of them false" in in_words(found)
