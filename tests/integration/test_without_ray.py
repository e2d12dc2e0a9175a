"""`--ray.address none`: jobs in one process, which never imports Ray, with the tables of a run on Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import ROOT, Site, environment, run_job, tables

pytestmark = pytest.mark.usefixtures("ray_cluster")

RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code
print("ray" in sys.modules)
"""


def without_ray(name: str, *arguments: object) -> None:
    """Run a job to its end in a process of its own, and see that it does without Ray."""
    command = [sys.executable, "-c", RUN, ROOT / "jobs" / f"{name}.py", *arguments, "--ray.address", "none"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "False", "Ray was imported"


def cubes(out: Path) -> dict[str, bytes]:
    files = (path for path in sorted(out.glob("stc/**/*")) if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def evidence(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.glob("events/*/*"))}


def test_extraction_without_ray_leaves_the_same_cubes(site: Site, tmp_path: Path) -> None:
    job = ("extract_stc", "--archive", site.train, "--shard-frames", 25, "--flow.scale", 1)
    without_ray(*job, "--out", tmp_path / "here")
    run_job(*job, "--out", tmp_path / "ray")
    assert cubes(tmp_path / "here") == cubes(tmp_path / "ray")
    assert len(cubes(tmp_path / "here")) > 4


def test_scoring_and_evidence_without_ray_are_the_same(site: Site, tmp_path: Path) -> None:
    always = ("--events.threshold=-1e9", "--events.low=-1e9")
    places = ("--archive", site.test, "--bundle", site.network, "--include", "01_*", "02_*")
    job = ("score_archive", *places, "--shard-frames", 20, *always)
    without_ray(*job, "--out", tmp_path / "here")
    run_job(*job, "--out", tmp_path / "ray")
    assert tables(tmp_path / "here") == tables(tmp_path / "ray")
    assert len(tables(tmp_path / "here")) == 8
    (record,) = (json.loads(path.read_text()) for path in tmp_path.glob("here/runs/*.json"))
    assert (record["status"], record["workers"], record["gpus_per_worker"]) == ("finished", 1, 0)
    assert (record["shards"], record["model_loads"]) == (6, 1)
    review = ("report", "--archive", site.test, "--bundle", site.network, "--scores", tmp_path / "here")
    without_ray(*review, "--out", tmp_path / "here-site")
    run_job(*review, "--out", tmp_path / "ray-site")
    assert evidence(tmp_path / "here-site") == evidence(tmp_path / "ray-site")
    assert len(evidence(tmp_path / "here-site")) > 3
