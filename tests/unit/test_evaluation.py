from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hf2vad.config import EventConfig, FusionConfig
from hf2vad.errors import EvaluationError, NotFoundError, SchemaError
from hf2vad.evaluation.auroc import auroc, macro_auroc, micro_auroc
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.protocol import EvaluateJob, evaluate_job
from hf2vad.evaluation.tables import scores_prefix
from hf2vad.models.bundle import Calibration
from hf2vad.schema import LABELS, SHARD
from hf2vad.scoring.final import finalise
from hf2vad.scoring.fuse import smooth
from hf2vad.storage import key_path, put_table

CALIBRATION = Calibration(
    flow_mean=5.0, flow_std=1.0, frame_mean=5.0, frame_std=1.0, threshold=3.0, low=2.0, cubes=10, frames=5
)


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


Frames = list[list[float] | None]
"""The S_r of each box of a frame; None for a frame without score."""


def put_scores(
    out: Path, video: str, frames: Frames, *, start: int = 0, smoothing: int = 1, bundle: str = "b1"
) -> None:
    """Put the tables of `video`. With fusion (1, 0) a score is S_r − 5; S_p is 10 − S_r, speed S_r / 2."""
    rows: list[dict[str, Any]] = []
    for frame, boxes in enumerate(frames, start):
        nulls = dict.fromkeys(SHARD.names)
        status = "no_context" if boxes is None else "scored"
        row = {**nulls, "video": video, "frame": frame, "pts_s": frame / 25, "status": status}
        corners = {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 9.0}
        rows += [
            row | corners | {"s_flow": s, "s_frame": 10 - s, "speed": s / 2, "score": s - 5} for s in boxes or []
        ] or [row]
    tables = finalise(
        video, [pa.Table.from_pylist(rows, schema=SHARD)], start=start, pts_s=np.arange(len(frames)) / 25,
        calibration=CALIBRATION, fusion=FusionConfig(flow=1, frame=0), smoothing=smoothing, events=EventConfig(),
        metadata={"video": video, "bundle": bundle, "smoothing": smoothing},
    )  # fmt: skip
    for name in ("frames", "objects", "events"):
        put_table(str(out / f"bundle={bundle}" / name / f"{key_path(video)}.parquet"), getattr(tables, name))


def put_marks(folder: Path, **marks: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in marks.items():
        (folder / f"{name}.txt").write_text(text)
    return str(folder)


def run(scores: Path, labels: str) -> dict[str, Any]:
    found = evaluate_job(EvaluateJob(scores=str(scores), labels=labels, out=str(scores / "report")))
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


def label_table(path: Path, *rows: tuple[str, int, bool]) -> str:
    columns = [dict(zip(LABELS.names, row, strict=True)) for row in rows]
    put_table(str(path), pa.Table.from_pylist(columns, schema=LABELS))
    return str(path)


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
    with pytest.raises(EvaluationError, match=r"'a\.avi': 2 labelled frames have no row \(\d, \d …\)"):
        run(tmp_path, put_marks(tmp_path / "labels", a="00101"))


def test_a_labelled_video_without_scores_is_an_error_that_names_it(tmp_path: Path) -> None:
    put_scores(tmp_path, "a", [[1], [2]])
    with pytest.raises(EvaluationError, match=r"1 labelled videos have no score table .*: 'gone' …"):
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
    with pytest.raises(EvaluationError, match=r"no scores there .*jobs/score_archive\.py"):
        run(tmp_path, labels)
    with pytest.raises(EvaluationError, match=r"no frame table there; jobs/score_archive\.py"):
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
