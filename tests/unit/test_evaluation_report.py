"""What jobs/evaluate.py writes and prints, called as the job calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.oracle import GRID, oracle_fusion
from hf2vad.evaluation.settings import Protocol
from hf2vad.jobs.evaluate import JOB
from hf2vad.tables.read import scores_prefix
from tests.scores import label_table, put_marks, put_scores, table_path, with_column
from tests.unit.test_regions import ELSEWHERE, HALF_BESIDE, TRUE, put_tracks


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Scores of two videos, one of them with a name that Markdown would misread, and one that is not labelled."""
    put_scores(tmp_path / "s", "a.mp4", [None] * 4 + [[(0.5, TRUE)], [(0.9, TRUE)], [(0.2, ELSEWHERE)], [(0.3, TRUE)]])
    put_scores(tmp_path / "s", "x|y_*z*.mp4", [None] * 4 + [[(0.5, TRUE)], [(0.6, ELSEWHERE)]])
    put_scores(tmp_path / "s", "other.mp4", [[1]])
    rows = [("a.mp4", frame, frame < 6) for frame in range(8)]
    label_table(tmp_path / "labels.parquet", *rows, *(("x|y_*z*.mp4", frame, False) for frame in (4, 5)))
    put_tracks(tmp_path / "tracks.parquet", *(("a.mp4", frame, HALF_BESIDE, 1) for frame in range(6)))
    return tmp_path


def run(site: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The job's JSON and page."""
    needed = ["--scores", str(site / "s"), "--labels", str(site / "labels.parquet"), "--out", str(site / "out")]
    assert JOB.main([*needed, "--verbose", *options]) == 0
    return json.loads((site / "out" / "evaluation.json").read_text()), (site / "out" / "evaluation.md").read_text()


def test_the_page_says_what_was_counted_and_found(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = run(site)
    assert "6 labelled frames counted, 2 of them anomalous; 4 were dropped because they have no score" in page
    assert "(4 among the first four of a video, 0 others)" in page
    assert "2 videos; not labelled, and left out: 1 scored video" in page
    assert "mean over the 1 of 2 videos that have frames of both kinds" in page
    assert "Chosen on these labels: nothing." in page
    assert "Random scores reach about 0.69 on Ped2 that way" in page
    assert "The model cannot be told from the plain speed yardstick: micro AUROC differs by +0.0000" in page
    low, high = found["intervals"]["auroc_micro"]
    low_raw, high_raw = found["intervals"]["auroc_micro_raw"]
    figures = (found["auroc_micro"], found["auroc_micro_raw"])
    assert f"| fused, micro | {figures[0]:.4f} | {low:.4f} to {high:.4f} | {figures[1]:.4f} |" in page
    assert f"| {low_raw:.4f} to {high_raw:.4f} |" in page
    assert "| a.mp4 | 4 | 2 | 1.0000 |" in page
    assert r"| x\|y\_\*z\*.mp4 | 2 | 0 | undefined |" in page
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{figures[0]:.4f}" in printed
    assert "chosen on labels: nothing" in printed
    assert "written to" in printed.lower()


def test_draws_in_which_a_figure_is_undefined_are_counted_on_the_page(site: Path) -> None:
    found, page = run(site, "--protocol.resamples", "400", "--protocol.seed", "1")
    skipped = found["intervals"]["skipped_micro"]
    assert 60 < skipped < 140, "a quarter of the draws are twice the normal video"
    assert f"({skipped} for micro, {skipped} for macro)" in page
    assert "400 draws of 2 videos with replacement, seed 1" in page
    _, without = run(site, "--protocol.resamples", "0")
    assert "No intervals: they need at least two videos" in without
    assert "(no interval)" in without


def test_regions_are_told_only_where_tracks_are_given(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = run(site)
    assert "regions" not in found
    assert "RBDC" not in page
    capsys.readouterr()
    found, page = run(site, "--tracks", str(site / "tracks.parquet"))
    rbdc, tbdc = found["regions"]["rbdc"], found["regions"]["tbdc"]
    assert rbdc < 2 / 6 < tbdc
    assert f"| fused | {rbdc:.4f} | {tbdc:.4f} |" in page
    assert "6 anomalous regions of 1 tracks in 14 frames; 4 regions lie on frames without a score" in page
    assert f"fused: RBDC {rbdc:.4f}, TBDC {tbdc:.4f}" in capsys.readouterr().out


def test_only_the_flag_lets_labels_choose_and_then_every_output_says_so(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, page = run(site)
    assert found["chosen_on_labels"] == "nothing"
    assert "oracle" not in json.dumps(found) + page + capsys.readouterr().out
    found_too, page = run(site, "--oracle")
    assert found_too.pop("oracle_fusion")["tried"] == len(GRID)
    assert found_too.pop("chosen_on_labels").startswith("oracle")
    del found["chosen_on_labels"]
    assert found_too == found, "the other figures do not depend on it"
    assert "## oracle_fusion: chosen on the test labels" in page
    assert "Chosen on these labels: oracle" in page
    printed = " ".join(capsys.readouterr().out.split())
    assert "oracle_fusion (flow" in printed
    assert "chosen on labels: oracle" in printed


def test_the_oracle_is_the_best_of_its_weights_on_the_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(60) < 0.5
    flow, frame = 50 * (rng.normal(size=60) + labels), rng.normal(size=60) + labels
    put_scores(tmp_path, "a", [[float(value)] for value in flow], smoothing=3)
    with_column(table_path(tmp_path, "a", "objects"), "s_frame", frame.tolist())
    marks = read_labels(put_marks(tmp_path / "l", a="".join(str(int(mark)) for mark in labels)))
    found = oracle_fusion(scores_prefix(str(tmp_path)), marks, Protocol(smoothing="none"))
    z_flow, z_frame = flow / flow.std(), frame / frame.std()
    reached = {pair: roc_auc_score(labels, pair[0] * z_flow + pair[1] * z_frame) for pair in GRID}
    assert found["auroc_micro"] == found["auroc_micro_raw"] == pytest.approx(max(reached.values()), abs=1e-6)
    assert reached[found["flow"], found["frame"]] == pytest.approx(max(reached.values()), abs=1e-6)
    assert max(reached.values()) > max(reached[1.0, 0.0], reached[0.0, 1.0])
    smoothed = oracle_fusion(scores_prefix(str(tmp_path)), marks, Protocol())
    assert smoothed["auroc_micro"] != smoothed["auroc_micro_raw"]


@pytest.mark.parametrize(
    "options", [["--protocol.window", "4"], ["--protocol.sigma", "2"], ["--tracks", "gone.parquet"]]
)
def test_a_mistake_is_one_line(site: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    needed = ["--scores", str(site / "s"), "--labels", str(site / "labels.parquet"), "--out", str(site / "out")]
    assert JOB.main([*needed, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert options[1] in error
    assert not (site / "out").exists()


def test_the_oracle_needs_objects_to_weigh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_scores(tmp_path, "a", [[], []])
    arguments = ["--scores", str(tmp_path), "--labels", put_marks(tmp_path / "l", a="01"), "--out", str(tmp_path / "o")]
    assert JOB.main([*arguments, "--oracle"]) == 2
    assert "--oracle needs objects whose errors differ, and there are 0 objects" in capsys.readouterr().err
    assert JOB.main(arguments) == 0
