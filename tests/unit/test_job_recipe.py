"""The recipe "a job that walks an archive" of docs/contributing.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.clips import Clip, write_clip

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contributing.md").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, in which one file and one line are added as the page says."""
    recipe = PAGE[PAGE.index("**A job that walks an archive**") :]
    code = re.search(r"The example is a file `traffic\.py`.*?```python\n(.*?)```", recipe, re.DOTALL)
    line = re.search(r"Its line .*?```text\n(.*?)```", recipe, re.DOTALL)
    assert code is not None
    assert line is not None
    shutil.copytree(ROOT / "hf2vad", tmp_path / "hf2vad", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "hf2vad/jobs/traffic.py").write_text(code[1])
    registry = tmp_path / "hf2vad/jobs/__init__.py"
    registry.write_text(registry.read_text().replace("\n}\n", f"\n{line[1]}}}\n", 1))
    return tmp_path


def run(checkout: Path, *options: str, code: int = 0) -> dict[str, int]:
    """Run the job; returns its record."""
    how = ("--archive", "videos", "--out", "out", "--ray.address", "none", "--shard-frames", "10")
    done = subprocess.run(
        [sys.executable, "-m", "hf2vad", "traffic", *how, "--motion.min-area", "16", *options],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    newest = max((checkout / "out/runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    record: dict[str, int] = json.loads(newest.read_text())
    return record


@pytest.mark.slow
def test_a_job_that_walks_an_archive_is_one_file_and_one_line(checkout: Path) -> None:
    (checkout / "videos").mkdir()
    write_clip(checkout / "videos/clip.mp4", Clip(frames=24))
    (checkout / "videos/torn.mp4").write_bytes(b"no video")
    record = run(checkout, code=3)
    table = pq.read_table(checkout / "out/traffic/clip.mp4.parquet")
    assert table["frame"].to_pylist() == list(range(24))
    objects = table["objects"].to_pylist()
    assert sum(objects) == record["cubes"] > 0
    assert (record["shards"], record["busy_frames"], record["failures"]) == (3, 24, 1)
    assert (checkout / "out/failures/torn.mp4.json").exists()
    assert not list((checkout / "out/shards").rglob("*.parquet"))
    again = run(checkout, code=3)
    assert (again["shards"], again["videos_skipped"]) == (0, 1)
    few = run(checkout, "--least", "1", code=3)
    assert few["shards"] == 3
    assert pq.read_table(checkout / "out/traffic/clip.mp4.parquet")["objects"].to_pylist() == [n for n in objects if n]
