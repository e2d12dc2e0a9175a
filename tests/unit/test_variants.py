from __future__ import annotations

import numpy as np
import pytest

from hf2vad.ablation.variants import Cubes, Errors, aurocs, frame_scores, fused, labelled
from hf2vad.errors import EvaluationError
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.settings import FusionConfig

FLOW = Errors(test=np.array([0, 2, 5, 9], np.float32), train=np.array([4, 1, 3, 2], np.float32))
FRAME = Errors(test=np.array([10, 30, 20, 50], np.float32), train=np.array([10, 20, 30, 40], np.float32))
SPEED = Errors(test=np.array([7, 7, 7, 7], np.float32), train=np.array([1, 2, 3, 4], np.float32))
ERRORS = {"speed": SPEED, "flow": FLOW, "frame": FRAME}
NAN = np.nan


def test_fusion_by_weights_is_equation_9_over_the_training_cubes() -> None:
    found, nothing = fused(ERRORS, "weights", FusionConfig(flow=2.0, frame=0.5))
    flow = (np.array([0, 2, 5, 9]) - 2.5) / np.sqrt(1.25)
    frame = (np.array([10, 30, 20, 50]) - 25) / np.sqrt(125)
    np.testing.assert_allclose(found, 2.0 * flow + 0.5 * frame)
    assert nothing == pytest.approx(2.0 * -2.5 / np.sqrt(1.25) + 0.5 * -25 / np.sqrt(125))


def test_fusion_by_z_scores_weighs_both_parts_alike_whatever_the_preset_says() -> None:
    found, nothing = fused(ERRORS, "zscores", FusionConfig(flow=1.0, frame=0.1))
    expected, expected_nothing = fused(ERRORS, "weights", FusionConfig(flow=1.0, frame=1.0))
    np.testing.assert_allclose(found, expected)
    assert nothing == expected_nothing


def test_fusion_by_rank_adds_the_shares_of_training_cubes_with_a_smaller_error() -> None:
    found, nothing = fused(ERRORS, "ranks", FusionConfig())
    # flow: 0 is above none of 1 2 3 4; 2 above 1; 5 and 9 above all. frame: 10 above none; 30 above 10 and 20; …
    np.testing.assert_array_equal(found, [0 + 0, 1 / 4 + 2 / 4, 1 + 1 / 4, 1 + 1])
    assert nothing == 0


def test_ranks_do_not_depend_on_the_scale_of_an_error() -> None:
    cubed = {part: Errors(found.test**3, found.train**3) for part, found in ERRORS.items()}
    np.testing.assert_array_equal(fused(cubed, "ranks", FusionConfig())[0], fused(ERRORS, "ranks", FusionConfig())[0])


def test_training_errors_that_are_all_equal_are_refused() -> None:
    same = {**ERRORS, "frame": Errors(FRAME.test, np.full(4, 3, np.float32))}
    with pytest.raises(EvaluationError, match="4 training cubes are equal"):
        fused(same, "zscores", FusionConfig())


def test_a_frame_scores_its_worst_cube_or_that_of_no_error_and_the_first_four_have_none() -> None:
    cubes = Cubes(np.array(["a", "a", "b", "a"], object), np.array([4, 4, 5, 6], np.int32), {"a": 8, "b": 6, "c": 5})
    found = frame_scores(np.array([1.0, 3.0, -5.0, 2.0]), -1.5, cubes)
    np.testing.assert_array_equal(found["a"], [NAN, NAN, NAN, NAN, 3.0, -1.5, 2.0, -1.5])
    np.testing.assert_array_equal(found["b"], [NAN, NAN, NAN, NAN, -1.5, -5.0])
    np.testing.assert_array_equal(found["c"], [NAN, NAN, NAN, NAN, -1.5])


def test_auroc_is_over_the_labelled_frames_of_all_videos_that_have_a_score() -> None:
    raw = {"a": np.array([NAN, 1.0, 4.0, 2.0]), "b": np.array([NAN, 3.0, 0.0])}
    labels = {
        "a": (np.arange(4), np.array([True, False, True, False])),
        "b": (np.array([1, 2]), np.array([True, False])),
    }
    # anomalous 4 and 3 against normal 1, 2 and 0: all six pairs in order; the unscored anomalous frame does not count
    assert aurocs(raw, labels, [Smoothing("none", 1)]) == [1.0]
    labels["b"] = (np.array([1, 2]), np.array([False, True]))
    # anomalous 4, 0 against normal 1, 2, 3: three of six pairs
    assert aurocs(raw, labels, [Smoothing("none", 1), Smoothing("none", 1)]) == [0.5, 0.5]


def test_labels_find_their_videos_with_or_without_the_ending_of_the_file() -> None:
    one = (np.arange(3), np.array([True, False, False]))
    found = labelled({"01": one, "02.avi": one}, {"01.mp4": 3, "02.avi": 3, "03": 9})
    assert list(found) == ["01.mp4", "02.avi"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [({"01": 4}, "has 3 frames, its labels are of frames 0 to 3"), ({"01": 3, "05": 3}, "'05'"), ({}, "none of")],
)
def test_labels_of_other_videos_are_refused(labels: dict[str, int], message: str) -> None:
    given = {video: (np.arange(n), np.zeros(n, bool)) for video, n in labels.items()}
    with pytest.raises(EvaluationError, match=message):
        labelled(given, {"01": 3, "02": 3})
