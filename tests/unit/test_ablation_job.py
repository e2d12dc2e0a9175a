"""What a user of jobs/ablate.py gets wrong is said in one line, before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.commandline import EXIT_USAGE, parse
from hf2vad.jobs.ablate import JOB, AblationJob
from hf2vad.presets import preset
from hf2vad.schema import LABELS
from hf2vad.storage import put_table

PLACES = ("--train", "/a", "--test", "/b", "--labels", "/l.parquet", "--out", "/o")


def settings(*arguments: str) -> AblationJob:
    return parse(JOB, [*PLACES, *arguments], "hf2vad ablate")


def test_given_boxes_are_the_default_of_all_rows() -> None:
    assert settings().detector.kind == "motion"
    assert settings("--boxes-train", "/1", "--boxes-test", "/2").detector.kind == "boxes"


def test_the_preset_decides_the_defaults() -> None:
    assert (settings().model.slots, settings().motion.min_area) == (20, 100.0)
    avenue = settings("--preset", "avenue")
    assert (avenue.model.slots, avenue.motion.min_area) == (2000, 1600.0)


def test_rows_and_seeds_are_lists() -> None:
    job = settings("--rows", "dis-*", "vae", "--seeds", "3", "1")
    assert (job.rows, job.seeds) == (("dis-*", "vae"), (3, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", "flow-9"), "did you mean flow-"),
        (("--boxes-train", "/1"), "--boxes-train and --boxes-test come together"),
        (("--detector.kind", "boxes"), "needs --boxes-train and --boxes-test"),
        (("--seeds", "1", "1"), "none twice"),
        (("--seeds",), "at least one seed"),
        (("--smoothing", "4"), "odd number of frames, got 4"),
        (("--schedule.flow-epochs", "0"), "epochs must be positive"),
        (("--labels", "/nowhere.parquet"), "/nowhere.parquet"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOB.main([*PLACES, *arguments]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_detector_that_is_none_is_found_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.parquet"
    put_table(str(labels), pa.table([["a"], np.array([4]), [True]], schema=LABELS))
    (tmp_path / "text.onnx").write_text("not a network")
    places = ["--train", "/a", "--test", "/b", "--labels", str(labels), "--out", str(tmp_path / "out")]
    for name, message in (("text.onnx", "not an ONNX network"), ("nowhere.onnx", "nowhere.onnx")):
        argv = [*places, "--detector.model", str(tmp_path / name)]
        assert JOB.main(argv) == EXIT_USAGE
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_setting_of_extraction_reaches_the_rows() -> None:
    assert settings().extraction == preset("compact_eq9").extraction
    assert settings("--working.longest", "1280").working.longest == 1280


@pytest.mark.parametrize(
    "arguments",
    [
        ("--detector.kinds", "onnx", "motion"),
        ("--detector.kind", "onnx+motion"),
        ("--detector.kind=onnx+motion",),
        ("--config", "old.toml"),
        ("--config", "new.toml"),
    ],
)
def test_either_spelling_of_the_detectors_kinds_is_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.toml").write_text('[detector]\nkind = "onnx+motion"\nmodel = "yolox.onnx"\n')
    Path("new.toml").write_text('[detector]\nkinds = ["onnx", "motion"]\nmodel = "yolox.onnx"\n')
    job = settings("--detector.model", "yolox.onnx", *arguments, "--seeds", "3")
    assert (job.detector.kinds, job.seeds) == (("onnx", "motion"), (3,))
