"""`hf2vad reproduce ped2`: the paper's experiment as one command, on footage in the data set's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.first_hour import ped2
from hf2vad.demo.archive import generate
from tests.site import run_job

HERE = ("--preset", "features", "--ray.address", "none")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce")
    generate(folder / "archive", train_clips=2, test_clips=2, frames=60)
    return ped2(folder)


@pytest.fixture(scope="module")
def said(data: Path) -> list[str]:
    out = data.parent / "out"
    return run_job("reproduce", "ped2", "--data", data, "--out", out, "--boxes", "motion", *HERE).stdout.splitlines()


def test_it_prints_the_result_beside_the_papers_and_says_what_differs(said: list[str], data: Path) -> None:
    evaluation = json.loads((data.parent / "out" / "evaluation.json").read_text())
    reached = 100 * evaluation["auroc_micro"]
    (first,) = [line for line in said if line.startswith("Ped2, frame AUROC in percent: ")]
    low, high = (100 * bound for bound in evaluation["intervals"]["auroc_micro"])
    assert f"{reached:.2f} (95 % over clips: {low:.2f} to {high:.2f})" in first
    assert f"difference {reached - 99.31:+.2f}" in "\n".join(said)
    assert "motion boxes" in "\n".join(said)
    assert evaluation["chosen_on_labels"] == "nothing"
    assert said[-1].startswith(f"All figures: {data.parent / 'out' / 'evaluation.md'}")


def test_again_it_finds_everything_done(said: list[str], data: Path) -> None:
    out = data.parent / "out"
    bundle = (out / "bundle" / "bundle.json").read_bytes()
    again = run_job("reproduce", "ped2", "--data", data, "--out", out, "--boxes", "motion", *HERE).stdout.splitlines()
    assert again == said
    assert (out / "bundle" / "bundle.json").read_bytes() == bundle


@pytest.mark.parametrize(
    ("folder", "missing"), [("", "training/boxes.parquet"), ("nowhere", "testing/frame_labels.parquet")]
)
def test_what_the_data_folder_lacks_is_named(folder: str, missing: str, data: Path, tmp_path: Path) -> None:
    done = run_job("reproduce", "ped2", "--data", data / folder, "--out", tmp_path, *HERE, expect=2)
    assert missing in done.stderr
    assert "hf2vad reproduce --help says what the data folder has" in done.stderr


def test_a_data_set_that_there_is_none_for_is_named(data: Path, tmp_path: Path) -> None:
    done = run_job("reproduce", "avenue", "--data", data, "--out", tmp_path, expect=2)
    assert "--dataset must be one of ped2, got 'avenue'" in done.stderr
