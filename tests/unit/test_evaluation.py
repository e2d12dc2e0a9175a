from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from hf2vad.errors import EvaluationError, NotFoundError, SchemaError
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.protocol import evaluate
from hf2vad.evaluation.settings import Protocol
from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation
from hf2vad.schema import unpack_metadata
from hf2vad.scoring.smooth import smooth
from hf2vad.storage import put_table, read_table
from hf2vad.tables.read import scores_prefix
from tests.scores import Frames, label_table, put_marks, put_scores, table_path, with_column


def pair(labels: str, scores: list[float]) -> tuple[Any, Any]:
    return np.array([mark == "1" for mark in labels]), np.array(scores, float)


def run(scores: Path, labels: str, **options: Any) -> dict[str, Any]:
    found = put_evaluation(EvaluateJob(scores=str(scores), labels=labels, out=str(scores / "report"), **options))
    written: dict[str, Any] = json.loads((scores / "report" / "evaluation.json").read_text())
    assert written == found
    return written


FIRST: Frames = [None, None, None, None, [1, 2], [], [8], [4, 3], [7]]
SECOND: Frames = [None, None, None, None, [6], [10], None, [1]]


def test_the_figures_of_an_evaluation_are_those_computed_by_hand(tmp_path: Path) -> None:
    put_scores(tmp_path, "a.avi", FIRST)
    put_scores(tmp_path, "b.avi", SECOND)
    put_scores(tmp_path, "c.avi", SECOND)
    found = run(tmp_path, put_marks(tmp_path / "labels", a="000000110", b="0000\n0\n1\n1\n1\n"))
    labels = [0, 0, 1, 1, 0, 0, 1, 1]
    top = [2, 0, 8, 4, 7, 6, 10, 1]
    assert found["auroc_micro"] == found["auroc_micro_raw"] == pytest.approx(roc_auc_score(labels, top))
    assert found["per_video"] == {"a.avi": pytest.approx(5 / 6), "b.avi": pytest.approx(1 / 2)}
    assert (found["auroc_macro"], found["macro_videos"]) == (pytest.approx(4 / 6), 2)
    counts = {name: found[name] for name in ("videos", "videos_unlabelled", "frames", "dropped", "anomalous")}
    assert counts == {"videos": 2, "videos_unlabelled": 1, "frames": 8, "dropped": 9, "anomalous": 4}
    assert found["dropped_first"] == 8
    assert found["per_video_frames"]["b.avi"] == {"frames": 3, "anomalous": 2}
    assert (found["bundle"], found["smoothing"], found["chosen_on_labels"]) == ("b1", 1, "nothing")
    assert found["flow_only"]["micro"] == found["speed_yardstick"]["micro"] == found["auroc_micro"]
    pixels = [9, 0, 2, 7, 3, 4, 0, 9]
    assert found["frame_only"]["micro_raw"] == pytest.approx(roc_auc_score(labels, pixels))


def test_parts_are_smoothed_like_the_score(tmp_path: Path) -> None:
    frames: Frames = [[1], [9], [2], [3], [8], [7], [8], [0]]
    put_scores(tmp_path, "a", frames, smoothing=3)
    found = run(tmp_path, put_marks(tmp_path / "labels", a="01001110"))
    labels, values = pair("01001110", [boxes[0] for boxes in frames if boxes])
    assert found["auroc_micro_raw"] == found["flow_only"]["micro_raw"] == pytest.approx(roc_auc_score(labels, values))
    smoothed = pytest.approx(roc_auc_score(labels, smooth(values, 3)))
    assert found["auroc_micro"] == found["flow_only"]["micro"] == found["speed_yardstick"]["micro"] == smoothed
    assert found["auroc_micro"] != found["auroc_micro_raw"]


def test_a_video_of_one_kind_counts_in_micro_and_not_in_macro(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]])
    put_scores(tmp_path, "b", [[3], [0]])
    found = run(tmp_path, put_marks(tmp_path / "labels", a="00", b="10"))
    assert found["per_video"] == {"a": None, "b": 1.0}
    assert (found["auroc_macro"], found["macro_videos"], found["auroc_micro"]) == (1.0, 1, 1.0)
    nothing = run(tmp_path, put_marks(tmp_path / "normal", a="00", b="00"))
    assert (nothing["auroc_micro"], nothing["auroc_macro"], nothing["macro_videos"]) == (None, None, 0)


def test_a_label_table_may_name_some_frames_in_any_order(tmp_path: Path) -> None:
    put_scores(tmp_path, "sub/a.avi", [[9], [1], [5], [7]], start=100)
    uri = label_table(
        tmp_path / "l.parquet", ("sub/a.avi", 103, True), ("sub/a.avi", 101, False), ("sub/a.avi", 102, True)
    )
    found = run(tmp_path, uri)
    assert (found["frames"], found["anomalous"], found["auroc_micro"]) == (3, 2, 1.0)


@pytest.mark.parametrize("start", [0, 2])
def test_a_labelled_frame_without_a_row_is_an_error_that_names_the_video(tmp_path: Path, start: int) -> None:
    put_scores(tmp_path, "a.avi", [[1], [2], [3]], start=start)
    with pytest.raises(EvaluationError, match=r"'a\.avi': no row for 2 labelled frames \(\d, \d …\)"):
        run(tmp_path, put_marks(tmp_path / "labels", a="00101"))


def test_a_labelled_video_without_scores_is_an_error_that_names_it(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]])
    with pytest.raises(EvaluationError, match=r"no score table under .* for 1 labelled video: 'gone' …"):
        run(tmp_path, put_marks(tmp_path / "labels", a="01", gone="01"))


def test_a_frame_that_is_labelled_twice_is_an_error(tmp_path: Path) -> None:
    uri = label_table(tmp_path / "l.parquet", ("a", 1, True), ("a", 2, False), ("b", 1, True), ("a", 1, True))
    with pytest.raises(EvaluationError, match=rf"{uri}: 'a' has a frame that is labelled twice"):
        read_labels(uri)


@pytest.mark.parametrize("text", ["", "  \n", "0 1 2", "0.5", "normal", "-1"])
def test_a_text_file_of_anything_but_0_and_1_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    uri = put_marks(tmp_path / "labels", a="01", b=text)
    with pytest.raises(EvaluationError, match=rf"{uri}/b\.txt: a label file holds one 0 or 1 a frame"):
        read_labels(uri)


def test_labels_that_are_not_there_or_lack_a_column_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="no label file"):
        read_labels(str(tmp_path / "empty"))
    with pytest.raises(NotFoundError):
        read_labels(str(tmp_path / "gone.parquet"))
    put_table(str(tmp_path / "l.parquet"), pa.table({"video": ["a"], "frame": [1]}))
    with pytest.raises(SchemaError, match=r"l\.parquet: no column anomalous"):
        read_labels(str(tmp_path / "l.parquet"))


def test_of_several_bundles_one_must_be_named(tmp_path: Path) -> None:
    for bundle in ("b1", "b2"):
        put_scores(tmp_path, "a", [[1], [2]], bundle=bundle)
    with pytest.raises(EvaluationError, match="scores of 2 bundles; name one of them: bundle=b1, bundle=b2"):
        scores_prefix(str(tmp_path))
    assert scores_prefix(f"{tmp_path}/bundle=b2/") == f"{tmp_path}/bundle=b2"
    assert run(tmp_path / "bundle=b2", put_marks(tmp_path / "labels", a="01"))["bundle"] == "b2"


def test_where_there_are_no_scores_the_error_says_what_makes_them(tmp_path: Path) -> None:
    labels = put_marks(tmp_path / "labels", a="01")
    with pytest.raises(EvaluationError, match=r"no scores there .*hf2vad score"):
        run(tmp_path, labels)
    with pytest.raises(EvaluationError, match=r"no frame table there; hf2vad score"):
        run(tmp_path / "bundle=gone", labels)


def test_labels_of_no_video_are_an_error(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]])
    with pytest.raises(EvaluationError, match="none of its videos is labelled"):
        run(tmp_path, label_table(tmp_path / "l.parquet"))


@pytest.mark.parametrize(
    "column",
    [
        {"anomalous": [True, None]},
        {"video": ["a", None]},
        {"frame": [0, None]},
        {"frame": ["0", "x"]},
        {"frame": [0, 0.5]},
    ],
)
def test_a_label_table_with_a_null_or_a_value_of_another_type_is_an_error(
    tmp_path: Path, column: dict[str, list[Any]]
) -> None:
    uri = str(tmp_path / "l.parquet")
    put_table(uri, pa.table({"video": ["a", "a"], "frame": [0, 1], "anomalous": [True, False], **column}))
    with pytest.raises(EvaluationError, match=rf"{uri}: not a table of labels: "):
        read_labels(uri)


def test_a_label_table_may_have_other_columns_and_number_types(tmp_path: Path) -> None:
    columns = {"note": ["", "x"], "anomalous": pa.array([1, 0], pa.uint8()), "frame": pa.array([3, 1], pa.int32())}
    put_table(str(tmp_path / "l.parquet"), pa.table({**columns, "video": ["a", "a"]}))
    frames, anomalous = read_labels(str(tmp_path / "l.parquet"))["a"]
    assert (frames.tolist(), anomalous.tolist()) == ([1, 3], [False, True])


def test_the_score_is_smoothed_again_from_raw_and_is_what_the_table_says(tmp_path: Path) -> None:
    frames: Frames = [None, None, [4], [9], [2], None, [8], [1], [8], [0]]
    put_scores(tmp_path, "a", frames, smoothing=3)
    put_evaluation(
        EvaluateJob(scores=str(tmp_path), labels=put_marks(tmp_path / "l", a="0" * 9 + "1"), out=str(tmp_path))
    )
    written = read_table(str(tmp_path / "frame_scores.parquet"))
    table = read_table(table_path(tmp_path, "a", "frames"))
    for column in ("score", "score_raw"):
        assert written[column].to_pylist() == table[column].to_pylist()
    assert table["score"].to_pylist() != table["score_raw"].to_pylist()


@pytest.mark.parametrize(
    ("protocol", "expected", "window"),
    [
        (Protocol(), [0, 0, 0, 0, 6, 6], 3),
        (Protocol(window=1), [0, 9, 0, 0, 6, 6], 1),
        (Protocol(smoothing="none"), [0, 9, 0, 0, 6, 6], 1),
        (Protocol(smoothing="causal_median"), [0, 0, 0, 0, 0, 6], 3),
        (Protocol(window=5), [0, 0, 0, 6, 6, 6], 5),
    ],
)
def test_the_protocol_says_how_all_columns_are_smoothed(
    tmp_path: Path, protocol: Protocol, expected: list[float], window: int
) -> None:
    put_scores(tmp_path, "a", [[value + 1] for value in (0, 9, 0, 0, 6, 6)], smoothing=3)
    found = run(tmp_path, put_marks(tmp_path / "labels", a="000011"), protocol=protocol)
    written = read_table(str(tmp_path / "report" / "frame_scores.parquet"))
    assert (written["score"].to_numpy() + 4).tolist() == expected
    assert (written["flow_only"].to_numpy() - 1).tolist() == expected
    labels, values = pair("000011", written["score"].to_pylist())
    assert found["auroc_micro"] == found["flow_only"]["micro"] == pytest.approx(roc_auc_score(labels, values))
    assert (found["smoothing"], found["protocol"]["window"]) == (window, window)
    assert found["protocol"]["smoothing"] == protocol.smoothing


def test_videos_smoothed_over_different_windows_are_not_mixed_up(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]], smoothing=3)
    put_scores(tmp_path, "b", [[1], [2]], smoothing=5)
    labels = put_marks(tmp_path / "labels", a="01", b="01")
    message = r"smoothed over 3 frames \('a'\), 5 frames \('b'\); give --protocol\.window, or score again"
    with pytest.raises(EvaluationError, match=message):
        run(tmp_path, labels)
    assert run(tmp_path, labels, protocol=Protocol(window=7))["smoothing"] == 7
    assert run(tmp_path, labels, protocol=Protocol(smoothing="none"))["smoothing"] == 1


def test_videos_of_several_rates_are_each_smoothed_over_their_own_window(tmp_path: Path) -> None:
    values = [[float(value)] for value in (1, 9, 1, 1, 9, 9, 9, 1)]
    put_scores(tmp_path, "slow", values, smoothing=3, rule=(3, 25.0))
    put_scores(tmp_path, "fast", values, smoothing=5, rule=(3, 25.0))
    labels = put_marks(tmp_path / "labels", slow="00001110", fast="00001110")
    found = run(tmp_path, labels)
    assert (found["smoothing"], found["protocol"]["window"], found["protocol"]["sigma"]) == ([3, 5], [3, 5], None)
    score = read_table(str(tmp_path / "report" / "frame_scores.parquet"))["score"].to_pylist()
    raw = np.array([value[0] - 5 for value in values])
    expected = np.concatenate([smooth(raw, 5), smooth(raw, 3)])
    assert score == pytest.approx(expected.tolist())
    assert run(tmp_path, labels, protocol=Protocol(window=7))["smoothing"] == 7
    put_scores(tmp_path, "slow", values, smoothing=5, rule=(5, 25.0))
    put_scores(tmp_path, "fast", values, smoothing=3, rule=None)
    message = r"smoothed over 3 frames \('fast'\), 5 frames at 25 a second \('slow'\); give"
    with pytest.raises(EvaluationError, match=message):
        run(tmp_path, labels)


def test_a_part_that_some_object_lacks_is_left_out(tmp_path: Path) -> None:
    for video in ("a", "b"):
        put_scores(tmp_path, video, [[1], [2], [3]])
    labels = put_marks(tmp_path / "labels", a="010", b="011")
    assert "motion_only" not in run(tmp_path, labels)
    with_column(table_path(tmp_path, "a", "objects"), "s_motion", [1, 3, 2])
    assert "motion_only" not in run(tmp_path, labels)
    with_column(table_path(tmp_path, "b", "objects"), "s_motion", [2, None, 3])
    assert "motion_only" not in run(tmp_path, labels)
    with_column(table_path(tmp_path, "b", "objects"), "s_motion", [2, 4, 5])
    assert run(tmp_path, labels)["motion_only"]["micro_raw"] == 1.0
    path = table_path(tmp_path, "a", "objects")
    put_table(path, read_table(path).drop_columns("speed"))
    found = run(tmp_path, labels)
    assert "speed_yardstick" not in found
    assert "beats_speed" not in found
    assert "speed_yardstick" not in found["intervals"]
    assert "speed_yardstick" not in read_table(str(tmp_path / "report" / "frame_scores.parquet")).column_names


def test_a_frame_without_an_object_never_outscores_one_with_an_object(tmp_path: Path) -> None:
    """Scores such as log-densities may be negative: then 0 would be a high value for an empty frame."""
    put_scores(tmp_path, "a", [[1], [], [3]])
    put_scores(tmp_path, "b", [[], [2], []])
    with_column(table_path(tmp_path, "a", "objects"), "s_motion", [-7, -2])
    with_column(table_path(tmp_path, "b", "objects"), "s_motion", [-3])
    run(tmp_path, put_marks(tmp_path / "labels", a="001", b="010"))
    written = read_table(str(tmp_path / "report" / "frame_scores.parquet"))
    assert written["motion_only_raw"].to_pylist() == [-7, -7, -2, -7, -3, -7]
    assert written["flow_only_raw"].to_pylist() == [1, 0, 3, 0, 2, 0]


def test_the_frame_scores_are_one_row_a_labelled_frame_with_nulls_where_there_is_no_score(tmp_path: Path) -> None:
    put_scores(tmp_path, "a.avi", FIRST)
    put_scores(tmp_path, "b.avi", SECOND)
    found = run(tmp_path, label_table(tmp_path / "l.parquet", ("a.avi", 8, True), ("a.avi", 3, False), ("b", 5, False)))
    table = read_table(str(tmp_path / "report" / "frame_scores.parquet"))
    assert table.select(["video", "frame", "anomalous", "score_raw", "frame_only_raw"]).to_pylist() == [
        {"video": "a.avi", "frame": 3, "anomalous": False, "score_raw": None, "frame_only_raw": None},
        {"video": "a.avi", "frame": 8, "anomalous": True, "score_raw": 2.0, "frame_only_raw": 3.0},
        {"video": "b.avi", "frame": 5, "anomalous": False, "score_raw": 5.0, "frame_only_raw": 0.0},
    ]
    metadata = unpack_metadata(table.schema, "frame_scores", "it")
    assert (metadata["bundle"], metadata["protocol"]) == ("b1", found["protocol"])
    parts = ["flow_only", "frame_only", "speed_yardstick"]
    columns = [name for part in parts for name in (part + "_raw", part)]
    assert table.column_names == ["video", "frame", "anomalous", "score_raw", "score", *columns]


def test_the_frame_scores_give_the_figures_again(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", FIRST, smoothing=3)
    put_scores(tmp_path, "b", SECOND, smoothing=3)
    found = run(tmp_path, put_marks(tmp_path / "labels", a="000000110", b="00001110"))
    table = read_table(str(tmp_path / "report" / "frame_scores.parquet")).drop_null()
    labels = table["anomalous"].to_pylist()
    for column, figure in {"score": "auroc_micro", "score_raw": "auroc_micro_raw"}.items():
        assert roc_auc_score(labels, table[column].to_numpy()) == pytest.approx(found[figure])
    for part in ("flow_only", "frame_only", "speed_yardstick"):
        assert roc_auc_score(labels, table[part].to_numpy()) == pytest.approx(found[part]["micro"])


def test_a_video_too_short_for_any_score_is_dropped_and_counted(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]])
    put_scores(tmp_path, "b", [None, None, None])
    found = run(tmp_path, put_marks(tmp_path / "labels", a="01", b="011"))
    assert (found["frames"], found["dropped"], found["dropped_first"], found["videos"]) == (2, 3, 3, 2)
    assert found["per_video"] == {"a": 1.0, "b": None}


def test_evaluating_without_writing_gives_the_same_figures(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", FIRST)
    uri = put_marks(tmp_path / "labels", a="000000110")
    whole = run(tmp_path, uri)
    del whole["alerts"]  # of the event tables, which an evaluation of frames does not read
    assert evaluate(scores_prefix(str(tmp_path)), read_labels(uri))[0] == whole
