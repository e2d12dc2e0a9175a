from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hf2vad.evaluation.auroc import auroc, macro_auroc, micro_auroc
from hf2vad.evaluation.bootstrap import draw_videos, interval, resampled_macro, resampled_micro
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.protocol import evaluate
from hf2vad.evaluation.settings import Protocol
from hf2vad.tables.read import scores_prefix
from tests.scores import Frames, put_marks, put_scores, table_path, with_column

Videos = dict[str, tuple[Any, Any]]


def some_videos(number: int, frames: int, *, seed: int = 0, levels: int = 9) -> Videos:
    """Videos whose scores have ties; every third is of one kind, every seventh has no frame."""
    rng = np.random.default_rng(seed)
    videos: Videos = {}
    for video in range(number):
        length = 0 if video % 7 == 6 else frames
        labels = rng.random(length) < (0.4 if video % 3 else (video % 2))
        videos[str(video)] = (labels, rng.integers(levels, size=length) + 2.0 * labels + rng.integers(3))
    return videos


def test_every_resample_is_the_auroc_of_the_videos_it_drew() -> None:
    videos = some_videos(8, 20)
    counts = draw_videos(8, 25, seed=1)
    micro, macro = resampled_micro(videos, counts), resampled_macro(videos, counts)
    pairs = list(videos.values())
    for row, drawn in enumerate(counts.astype(int)):
        chosen = [pair for pair, count in zip(pairs, drawn, strict=True) for _ in range(count)]
        labels, scores = (np.concatenate(part) for part in zip(*chosen, strict=True))
        expected = auroc(labels, scores)
        assert np.isnan(micro[row]) if expected is None else micro[row] == pytest.approx(expected)
        each = [value for pair in chosen if (value := auroc(*pair)) is not None]
        assert macro[row] == pytest.approx(np.mean(each)) if each else np.isnan(macro[row])


def test_drawing_every_video_once_gives_the_figure_itself() -> None:
    videos = some_videos(12, 50)
    once = np.ones((1, 12))
    assert resampled_micro(videos, once)[0] == pytest.approx(micro_auroc(videos))
    assert resampled_macro(videos, once)[0] == pytest.approx(macro_auroc(videos)[0])


def test_as_many_videos_are_drawn_as_there_are_and_the_seed_decides_which() -> None:
    counts = draw_videos(12, 500, seed=3)
    assert (counts.sum(axis=1) == 12).all()
    assert counts.mean() == pytest.approx(1.0)
    assert 0.3 < (counts == 0).mean() < 0.4, "about 1/e of the videos are not in a resample"
    np.testing.assert_array_equal(counts, draw_videos(12, 500, seed=3))
    assert (counts != draw_videos(12, 500, seed=4)).any()


def test_a_resample_with_frames_of_one_kind_is_skipped_and_counted() -> None:
    videos = {"normal": (np.array([False, False]), np.array([1.0, 2])), "other": (np.array([True]), np.array([1.5]))}
    counts = np.array([[2.0, 0], [0, 2], [1, 1]])
    assert interval(resampled_micro(videos, counts)) == ([0.5, 0.5], 2)
    assert interval(resampled_macro(videos, counts)) == (None, 3)


def test_the_interval_leaves_out_a_fortieth_at_each_end() -> None:
    assert interval(np.r_[np.arange(1001.0), np.nan]) == (pytest.approx([25.0, 975.0]), 1)


def test_a_thousand_draws_of_a_data_set_like_ped2_take_seconds() -> None:
    videos = some_videos(12, 164, levels=1000)
    started = time.process_time()
    counts = draw_videos(12, 1000, seed=0)
    for _ in range(10):
        resampled_micro(videos, counts)
    assert time.process_time() - started < 5


def put_site(folder: Path, seed: int, *, better: float) -> str:
    """Six videos in which the fused score tells anomalous frames and the speed does so `better` or worse."""
    rng = np.random.default_rng(seed)
    marks = {}
    for video in "abcdef":
        labels = rng.random(40) < 0.5
        scores = rng.random(40) + 0.5 * labels
        put_scores(folder, video, [[float(value)] for value in scores])
        marks[video] = "".join(str(int(mark)) for mark in labels)
        with_column(table_path(folder, video, "objects"), "speed", (rng.random(40) + better * labels).tolist())
    return put_marks(folder / "labels", **marks)


@pytest.mark.parametrize(("better", "answer"), [(0.0, "yes"), (3.0, "no"), (0.5, "not distinguishable")])
def test_the_model_is_compared_with_plain_speed_draw_by_draw(tmp_path: Path, better: float, answer: str) -> None:
    labels = put_site(tmp_path, 1, better=better)
    found, _ = evaluate(scores_prefix(str(tmp_path)), read_labels(labels), Protocol(resamples=300))
    beats = found["beats_speed"]
    assert beats["answer"] == answer
    assert beats["difference"] == pytest.approx(found["auroc_micro"] - found["speed_yardstick"]["micro"])
    low, high = beats["interval"]
    assert low <= beats["difference"] <= high


def test_every_figure_has_an_interval_around_it(tmp_path: Path) -> None:
    labels = put_site(tmp_path, 2, better=0.3)
    found, _ = evaluate(scores_prefix(str(tmp_path)), read_labels(labels), Protocol(resamples=200, seed=5))
    around = found["intervals"]
    assert (around["level"], around["resamples"], around["seed"]) == (0.95, 200, 5)
    assert (around["skipped_micro"], around["skipped_macro"]) == (0, 0)
    figures = {key: found[key] for key in ("auroc_micro", "auroc_micro_raw", "auroc_macro", "auroc_macro_raw")}
    for key, value in figures.items():
        assert around[key][0] < value < around[key][1]
    for part in ("flow_only", "frame_only", "speed_yardstick"):
        for kind in ("micro", "micro_raw"):
            assert around[part][kind][0] < found[part][kind] < around[part][kind][1]
    again, _ = evaluate(scores_prefix(str(tmp_path)), read_labels(labels), Protocol(resamples=200, seed=5))
    assert again == found
    other, _ = evaluate(scores_prefix(str(tmp_path)), read_labels(labels), Protocol(resamples=200, seed=6))
    assert other["intervals"]["auroc_micro"] != around["auroc_micro"]
    assert other["auroc_micro"] == found["auroc_micro"]


@pytest.mark.parametrize("resamples", [0, 50])
def test_one_video_or_no_draws_give_no_interval(tmp_path: Path, resamples: int) -> None:
    frames: Frames = [[1], [3], [2], [4]]
    videos = "ab" if resamples == 0 else "a"
    for video in videos:
        put_scores(tmp_path, video, frames)
    labels = put_marks(tmp_path / "labels", **dict.fromkeys(videos, "0101"))
    found, _ = evaluate(scores_prefix(str(tmp_path)), read_labels(labels), Protocol(resamples=resamples))
    assert found["auroc_micro"] == roc_auc_score([0, 1, 0, 1], [1, 3, 2, 4])
    assert found["intervals"]["auroc_micro"] is None
    assert found["intervals"]["resamples"] == 0
    assert found["beats_speed"] == {"answer": "not distinguishable", "difference": 0.0, "interval": None}
