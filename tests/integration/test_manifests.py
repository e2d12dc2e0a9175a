"""The command lines of cluster/kubernetes, taken from the rendered YAML, work on a cluster with an S3 store."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.storage import exists, list_files, put_bytes
from hf2vad.tables.read import scored_videos, scores_prefix
from tests.manifests import KUBERNETES, of_kind
from tests.seaweed import SeaweedServer
from tests.site import ROOT, RayCluster, Site, environment, ray_head


@pytest.fixture(scope="module")
def nodes(s3: SeaweedServer) -> Iterator[RayCluster]:
    """A cluster with the CPUs that the manifests ask for, by its own count."""
    folder = Path(tempfile.mkdtemp(prefix="hf2vad-ray-"))  # short: Ray's sockets have paths of at most 107 bytes
    try:
        with ray_head(folder, cpus=8, dashboard=False) as head:
            yield head
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests with buckets of this module, which are changed where places are written: in one file."""
    tree = tmp_path_factory.mktemp("manifests") / "kubernetes"
    shutil.copytree(KUBERNETES, tree)
    places = tree / "shape" / "places.yaml"
    places.write_text(places.read_text().replace("s3://", "s3://manifests-"))
    return tree


@pytest.fixture(scope="module")
def footage(site: Site, s3: SeaweedServer) -> set[str]:
    """The archive that the manifests name: a clip of each of two cameras; returns the ids of its videos."""
    ids = set()
    clips = {"gate": sorted(site.train.glob("*.mp4"))[0], "yard": sorted(site.test.glob("*.mp4"))[0]}
    for camera, clip in clips.items():
        ids.add(video := f"{camera}/2026-11-24/0.mp4")
        put_bytes(f"s3://manifests-cameras/{video}", clip.read_bytes())
    put_bytes("s3://manifests-vad/made", b"the bucket is there")
    return ids


def run(folder: str, tree: Path, nodes: RayCluster) -> str:
    """Run a RayJob's command as Ray does, by a shell, with the paths of the image replaced; returns its output."""
    entrypoint = of_kind(folder, "RayJob", tree)["spec"]["entrypoint"]
    command = entrypoint.replace("/opt/hf2vad/jobs/", f"{ROOT}/jobs/").replace("/opt/hf2vad/", f"{ROOT}/cluster/")
    assert command.startswith("python ")
    env = {**environment(), "RAY_ADDRESS": nodes.address}
    done = subprocess.run(
        command.replace("python", sys.executable, 1),
        shell=True,
        capture_output=True,
        text=True,
        env={**env, "PYTHONPATH": str(ROOT)},
        cwd="/",
        timeout=280,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def nights(footage: set[str], tree: Path, nodes: RayCluster) -> str:
    """What the night says, after extraction and training by the manifests too."""
    run("extract", tree, nodes)
    run("train", tree, nodes)
    return run("nightly", tree, nodes)


def test_extraction_and_training_leave_a_bundle_with_the_patterns_cameras(nights: str) -> None:
    assert set(load_bundle_settings("s3://manifests-vad/bundles/site-7").cameras) == {"gate", "yard"}


def test_the_night_scores_all_footage_and_leaves_a_site(nights: str, footage: set[str]) -> None:
    assert {tables.video for tables in scored_videos(scores_prefix("s3://manifests-vad/scores"))} == footage
    assert exists("s3://manifests-vad/review/index.html")
    assert "backfill finished" in nights
    assert nights.splitlines()[-1].endswith("open s3://manifests-vad/review/index.html")


def test_scoring_alone_finds_the_night_s_work_done(nights: str, tree: Path, nodes: RayCluster) -> None:
    assert "2 done before" in run("score", tree, nodes)


def test_the_smoke_job_ends_all_right(tree: Path, nodes: RayCluster, s3: SeaweedServer) -> None:
    said = run("smoke", tree, nodes).splitlines()
    assert said[-1] == "smoke: all right"
    assert any(entry.uri.endswith("/index.html") for entry in list_files("s3://manifests-vad/smoke/found"))
