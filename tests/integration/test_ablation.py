"""The ablation job as a user runs it: killed, run again, with a row that fails."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from hf2vad.bundle.bundle import save_bundle
from hf2vad.demo.archive import DemoArchive, generate
from hf2vad.engines.eager import EagerEngine
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.protocol import evaluate
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.measure import measure_files
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.presets import preset
from hf2vad.schema import ABLATION
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.tables.read import scores_prefix
from hf2vad.training.data import StcTable
from tests.bundles import feature_set, make_bundle
from tests.onnx_network import PixelNetwork
from tests.site import RayCluster, environment, job, ray_workers, run_job, wait_until
from tests.stc import SMALL_MODEL

ROWS = "hybrid-3,joint-on,fusion-ranks,smoothing-none,boxes-motion,boxes-detector,boxes-given"
SMALL = (
    "--model.flow-root=4",
    "--model.slots=8",
    *("--model.cvae-widths", 8, 16, 16, 16),
    "--schedule.flow-steps=3",
    "--schedule.frame-steps=2",
    "--schedule.joint-steps=1",
    "--schedule.calibration-cubes=0",
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return generate(tmp_path_factory.mktemp("archive"), train_clips=2, test_clips=2, frames=40)


@pytest.fixture(scope="module")
def arguments(archive: DemoArchive, tmp_path_factory: pytest.TempPathFactory, ray_cluster: RayCluster) -> list[object]:
    """Options of the job, with a detector that sees nothing, so that one row has nothing to train on."""
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "blind.onnx").write_bytes(PixelNetwork().to_bytes())
    places = ["--train", archive.train, "--test", archive.test, "--labels", archive.labels, "--out", folder / "out"]
    return [*places, "--rows", ROWS, "--detector.model", folder / "blind.onnx", *SMALL]


def finished(out: Path) -> dict[str, int]:
    """The units that are there, and when they were written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("units/*/unit.json")}


@pytest.fixture(scope="module")
def out(arguments: list[object]) -> Path:
    """What two runs leave of which the first was killed."""
    folder = Path(str(arguments[arguments.index("--out") + 1]))
    with subprocess.Popen(
        job("ablate", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    ) as running:
        wait_until(lambda: len(finished(folder)) >= 3, seconds=240, what="three units")
        running.kill()
        running.wait()
    wait_until(lambda: not ray_workers("run_unit"), seconds=30, what="the orphaned tasks' end")
    there = finished(folder)
    assert not (folder / "ablation.json").exists(), "the run was over before it was killed"
    done = run_job("ablate", *arguments, expect=3)
    assert "no result" in done.stdout
    after = finished(folder)
    assert {name: after[name] for name in there} == there, "a finished unit was computed again"
    assert len(after) > len(there)
    return folder


@pytest.fixture(scope="module")
def rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["row"]: row for row in json.loads((out / "ablation.json").read_text())["rows"]}


def test_every_row_has_a_line_that_says_how_it_ended(out: Path, rows: dict[str, dict[str, Any]]) -> None:
    assert {name: row["status"] for name, row in rows.items()} == {
        "hybrid-3": "done",
        "joint-on": "done",
        "boxes-motion": "done",
        "boxes-detector": "failed",
        "boxes-given": "skipped",
        "fusion-ranks": "done",
        "smoothing-none": "done",
    }
    assert "0 cubes" in rows["boxes-detector"]["note"]
    assert rows["boxes-given"]["note"] == "needs --boxes-train and --boxes-test"
    table = pq.read_table(out / "ablation.parquet")
    assert table.schema.equals(ABLATION)
    assert table.to_pylist() == list(rows.values())


def test_a_row_tells_how_it_was_made(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["joint-on"]
    assert (row["flow_steps"], row["frame_steps"], row["joint_steps"]) == (2, 2, 1)
    assert (row["frames"], row["seed"], row["smoothing"], row["part"]) == (72, 0, "median 17", "fused")
    assert row["test_cubes"] > row["train_cubes"] > 0
    assert row["seconds"] > 0
    assert "cores" in row["hardware"]
    assert "torch" in row["versions"]
    for part in ("auroc", "fused", "flow", "frame", "speed"):
        assert 0 <= row[part] <= 1
        assert 0 <= row[part + "_raw"] <= 1


def test_rows_that_share_scores_differ_only_where_they_say(rows: dict[str, dict[str, Any]]) -> None:
    base = rows["hybrid-3"]
    raw = [name + "_raw" for name in ("fused", "flow", "frame", "speed")]
    assert [rows["boxes-motion"][name] for name in raw] == [None, base["flow_raw"], None, base["speed_raw"]]
    assert [rows["smoothing-none"][name] for name in raw] == [base[name] for name in raw]
    assert rows["smoothing-none"]["fused"] == base["fused_raw"]
    assert [rows["fusion-ranks"][name] for name in raw[1:]] == [base[name] for name in raw[1:]]
    assert rows["fusion-ranks"]["fused_raw"] != base["fused_raw"]
    assert rows["joint-on"]["flow_raw"] != base["flow_raw"] or rows["joint-on"]["frame_raw"] != base["frame_raw"]


def test_a_third_run_has_nothing_to_do_and_says_the_same(out: Path, arguments: list[object]) -> None:
    before, table = finished(out), (out / "ablation.parquet").read_bytes()
    run_job("ablate", *arguments, expect=3)
    assert finished(out) == before
    assert (out / "ablation.parquet").read_bytes() == table


def test_a_row_says_what_its_network_says_as_a_bundle(
    out: Path, rows: dict[str, dict[str, Any]], archive: DemoArchive, tmp_path: Path
) -> None:
    """The long way: the row's weights as a bundle, calibrated, scored by the job, and evaluated."""
    (weights,) = out.glob("units/train-frame-*/weights.safetensors")
    network = load_file(weights)
    (table,) = (found for path in out.glob("cubes/*/train") if len(found := StcTable(str(path))))
    model = HF2VAD(SMALL_MODEL).eval()
    model.load_state_dict(network)
    fusion = preset("compact_eq9").fusion
    engine = EagerEngine(model, device=torch.device("cpu"), batch=64)
    measured = measure_files(table, feature_set(engine))
    calibration = calibrate(measured, fusion=fusion, smoothing=SmoothingRule(17), where=table.uri).overall
    settings = {
        "extraction": table.extraction,
        "fusion": fusion,
        "smoothing": SmoothingRule(17),
        "calibration": calibration,
    }
    save_bundle(str(tmp_path / "bundle"), make_bundle(network, **settings))
    run_job("score_archive", "--archive", archive.test, "--bundle", tmp_path / "bundle", "--out", tmp_path / "scores")
    found, _ = evaluate(scores_prefix(str(tmp_path / "scores")), read_labels(str(archive.labels)))
    row = rows["hybrid-3"]
    long = [found["auroc_micro"], found["auroc_micro_raw"]]
    long += [found[part][form] for part in ("flow_only", "frame_only") for form in ("micro", "micro_raw")]
    assert [row[name] for name in ("fused", "fused_raw", "flow", "flow_raw", "frame", "frame_raw")] == pytest.approx(
        long, abs=2e-3
    )
    assert (row["speed"], row["speed_raw"]) == pytest.approx(tuple(found["speed_yardstick"].values()))
    assert (row["frames"], row["anomalous"]) == (found["frames"], found["anomalous"])
