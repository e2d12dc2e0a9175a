"""The examples, run as scripts on a small archive."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pyarrow.dataset as ds

from tests.site import ROOT, Site, environment


def run_example(name: str, **settings: object) -> str:
    """Output of an example with `settings` in its environment."""
    env = {**environment(), "PYTHONPATH": str(ROOT), **{key: str(value) for key, value in settings.items()}}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_cubes_are_looked_at(site: Site, tmp_path: Path) -> None:
    shown = run_example("look_at_cubes", STC=site.stc, PICTURE=tmp_path / "cubes.png")
    cubes = ds.dataset(sorted(site.stc.glob("stc/**/*.parquet"))).count_rows()
    assert f"{cubes} cubes in " in shown
    picture = cv2.imread(str(tmp_path / "cubes.png"))
    assert picture is not None
    assert picture.shape == (6 * 32 * 2, 9 * 32 * 2, 3)


def test_a_folder_is_trained_on_and_scored(site: Site, tmp_path: Path) -> None:
    video = min(site.test.iterdir())
    (tmp_path / "videos").mkdir()
    shutil.copy(video, tmp_path / "videos")
    shown = run_example("train_and_score_a_folder", VIDEOS=tmp_path / "videos", OUT=tmp_path / "out", STEPS=1)
    assert "exit codes: [0, 0, 0]" in shown
    (frames,) = tmp_path.glob("out/scores/bundle=*/frames/*.parquet")
    assert frames.name == f"{video.name}.parquet"
    assert ds.dataset(frames).count_rows() == 30  # the second half
