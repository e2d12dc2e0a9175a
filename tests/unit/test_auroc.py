from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hf2vad.evaluation.auroc import auroc, macro_auroc, micro_auroc, padded_macro_auroc


def pair(labels: str, scores: list[float]) -> tuple[Any, Any]:
    return np.array([mark == "1" for mark in labels]), np.array(scores, float)


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auroc(*pair("0011", [1, 2, 3, 4])) == 1.0
    assert auroc(*pair("1100", [1, 2, 3, 4])) == 0.0
    assert auroc(*pair("0101", [1, 2, 3, 4])) == 0.75
    assert auroc(*pair("01", [3, 3])) == 0.5


@given(rows=st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=30))
def test_auroc_counts_ties_as_half_and_needs_frames_of_both_kinds(rows: list[tuple[bool, int]]) -> None:
    good, bad = ([score for label, score in rows if label is kind] for kind in (False, True))
    pairs = [(b > g) + 0.5 * (b == g) for b in bad for g in good]
    found = auroc(np.array([label for label, _ in rows], bool), np.array([score for _, score in rows], float))
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


VIDEOS = {
    "a": pair("0011", [1, 2, 3, 4]),
    "b": pair("0101", [11, 12, 13, 14]),
    "c": pair("000", [20, 0, 0]),
    "d": pair("1", [5]),
}


def test_micro_auroc_pools_frames_without_normalising_videos() -> None:
    labels, scores = (np.concatenate(part) for part in zip(*VIDEOS.values(), strict=True))
    assert micro_auroc(VIDEOS) == pytest.approx(roc_auc_score(labels, scores))
    assert micro_auroc({"a": VIDEOS["a"], "b": VIDEOS["b"]}) == (4 + 3 + 2 * 2) / 16
    assert micro_auroc({"c": VIDEOS["c"]}) is None
    assert micro_auroc({}) is None


def test_macro_auroc_is_the_mean_over_videos_in_which_it_is_defined() -> None:
    assert macro_auroc(VIDEOS) == ((1.0 + 0.75) / 2, 2)
    assert macro_auroc({"c": VIDEOS["c"]}) == (None, 0)


def test_padding_makes_random_scores_look_good_where_videos_are_of_one_kind() -> None:
    """Counts of Ped2's test videos, all frames of them: 12 videos, three of them anomalous throughout (METHOD §6)."""
    counts = [(180, 120), (180, 86), (150, 146), (180, 150), (150, 129), (180, 159)]
    counts += [(180, 135), (180, 180), (120, 120), (150, 150), (180, 180), (180, 93)]
    rng = np.random.default_rng(0)
    padded, plain = [], []
    for _ in range(20):
        videos = {
            str(number): (np.arange(frames) < anomalous, rng.random(frames))
            for number, (frames, anomalous) in enumerate(counts)
        }
        padded.append(padded_macro_auroc(videos))
        plain.append(macro_auroc(videos)[0])
    assert np.mean(padded) == pytest.approx(0.69, abs=0.01)
    assert np.mean(plain) == pytest.approx(0.5, abs=0.02)


def test_padding_ranks_one_frame_of_each_kind_right_in_every_video() -> None:
    videos = {"a": pair("01", [2, 1]), "b": pair("11", [1, 2]), "c": pair("", [])}
    assert padded_macro_auroc(videos) == pytest.approx((3 / 4 + 1.0) / 2)
    assert padded_macro_auroc({"c": videos["c"]}) is None
