"""The package from Python: the same tables as the jobs, nothing printed, nothing written but where asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hf2vad
from hf2vad.errors import EvaluationError, NotFoundError
from tests.site import ROOT, Site, environment, run_job


@pytest.fixture(scope="module")
def model(site: Site) -> hf2vad.Model:
    return hf2vad.train(site.train)


@pytest.fixture(scope="module")
def result(site: Site, model: hf2vad.Model) -> hf2vad.Result:
    return model.score(site.test, threshold=0.5)


def test_what_is_scored_comes_back_as_tables(result: hf2vad.Result, site: Site) -> None:
    videos = {path.name for path in site.test.glob("*.mp4")}
    assert set(result.frames["video"].to_pylist()) == videos
    assert len(result.frames) == 60 * len(videos)
    assert len(result.objects) > 0
    assert len(result.events) > 0
    assert min(result.events["peak_score"].to_pylist()) >= 0.5
    assert len(result.failures) == 0
    assert set(result.health.column_names) >= {"video", "kind"}


def test_the_tables_are_those_of_the_job(
    result: hf2vad.Result, model: hf2vad.Model, site: Site, tmp_path: Path
) -> None:
    kept = model.save(tmp_path / "bundle")
    assert kept.id == model.id == hf2vad.load(tmp_path / "bundle").id
    run_job("score_archive", "--archive", site.test, "--bundle", tmp_path / "bundle", "--out", tmp_path / "scores")
    frames = hf2vad.read(tmp_path / "scores", "frames")
    assert frames.equals(result.frames)
    assert hf2vad.read(tmp_path / "scores", "objects").equals(result.objects)


def test_it_evaluates_a_result_and_a_folder_alike(result: hf2vad.Result, site: Site, tmp_path: Path) -> None:
    figures = hf2vad.evaluate(result, site.labels)
    assert 0.0 <= figures["auroc_micro"] <= 1.0
    assert hf2vad.evaluate(result.uri, site.labels)["auroc_micro"] == figures["auroc_micro"]


def test_nothing_is_printed_and_nothing_is_written_but_where_out_says(site: Site, tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.stdout = open({str(tmp_path / "said")!r}, "w")
import hf2vad
model = hf2vad.load({str(site.bundle)!r})
result = model.score({str(next(iter(sorted(site.test.glob("*.mp4")))))!r}, out="scores")
assert len(result.frames) == 60
assert "ray" not in sys.modules
place = model.score({str(site.test)!r}, frames="0:5").uri
assert not os.path.exists(place), place
"""
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "here",
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "said").read_text() == ""
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["scores"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import hf2vad, sys; assert not {'torch', 'ray', 'cv2', 'pyarrow'} & set(sys.modules); print(hf2vad.load)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'loud'"):
        _ = hf2vad.loud


def test_the_network_is_a_module_and_cubes_are_a_dataset(site: Site) -> None:
    data = hf2vad.dataset(site.stc)
    assert len(data) > 100
    first, last = data[0], data[-1]
    assert first["appearance"].shape == last["appearance"].shape == (5, 32, 32, 3)
    assert (first["flow"].dtype, tuple(first["flow"].shape)) == (torch.float16, (4, 32, 32, 2))
    with pytest.raises(IndexError, match=f"cube {len(data)} of {len(data)}"):
        _ = data[len(data)]
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)))
    assert batch["appearance"].shape == (8, 5, 32, 32, 3)
    network = hf2vad.load(site.network).network()
    assert isinstance(network, torch.nn.Module)
    assert not network.training


def test_mistakes_are_errors_with_names() -> None:
    with pytest.raises(NotFoundError, match="/no/such/bundle"):
        hf2vad.load("/no/such/bundle")
    with pytest.raises(NotFoundError, match="/no/such/scores"):
        hf2vad.read("/no/such/scores", "frames")
    with pytest.raises((NotFoundError, EvaluationError)):
        hf2vad.evaluate("/no/such/scores", "/no/such/labels")
