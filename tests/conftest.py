"""Fixtures that several test modules share."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch: processes run side by side, and its threads spin
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hf2vad.cluster.connection import connected
from hf2vad.demo.archive import generate
from tests.once import made_once
from tests.seaweed import SeaweedServer
from tests.site import TINY, RayCluster, Site, on_ray, ray_head, run_job

if TYPE_CHECKING:
    from tests.evidence import Scored

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("patient")


class FilesButThoseOnRay(LoadScopeScheduling):
    """Divides the tests among processes by file. Files that name `ray_cluster` stay together, on one head node."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid.split("::")[0])


@functools.cache
def _scope(path: str) -> str:
    return "ray" if "ray_cluster" in (Path(__file__).parents[1] / path).read_text() else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesButThoseOnRay:
    return FilesButThoseOnRay(config, log)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """A running S3 server; this process's environment leads to it for the rest of the session."""
    before = dict(os.environ)
    with SeaweedServer(tmp_path_factory.mktemp("seaweed")) as server:
        os.environ.update(server.env)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        yield server
    for name in (*server.env, "AWS_EC2_METADATA_DISABLED"):
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def ray_node(s3: SeaweedServer) -> Iterator[RayCluster]:
    """A Ray head node with two CPUs, whose environment leads to the S3 server. This process is connected to it."""
    folder = Path(tempfile.mkdtemp(prefix="hf2vad-ray-"))  # short: Ray's sockets have paths of at most 107 bytes
    try:
        with ray_head(folder) as head, connected(head.address):
            yield head
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ray_cluster(ray_node: RayCluster) -> Iterator[RayCluster]:
    """The session's Ray node, on which this module's jobs run: those of `run_job` through this process's connection,
    whose workers stay warm, those in other processes by RAY_ADDRESS."""
    with on_ray(ray_node):
        yield ray_node


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A generated archive of a few short clips, extracted and trained on by the jobs; flow is computed at the size of
    the frames, which halves the time of extraction."""

    def make(folder: Path) -> None:
        archive = generate(folder / "archive", train_clips=2, test_clips=3, frames=60)
        here = ("--ray.address", "none")
        places = ("--archive", archive.train, "--out", folder / "stc")
        run_job("extract_stc", *places, "--shard-frames", 50, "--flow.scale", 1, *here)
        run_job("train", "--stc", folder / "stc", "--out", folder / "bundle", "--preset", "features")
        run_job("train", "--stc", folder / "stc", "--out", folder / "network", *TINY)

    folder = made_once(tmp_path_factory, "site", make)
    archive = folder / "archive"
    return Site(
        train=archive / "train",
        test=archive / "test",
        labels=archive / "labels.parquet",
        stc=folder / "stc",
        bundle=folder / "bundle",
        network=folder / "network",
    )


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """An archive of two clips with an event each, scored without Ray."""
    from tests.evidence import scored_archive

    return scored_archive(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="session")
def evidence_site(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of both events, nothing hidden."""
    from hf2vad.runs.evidence import gather_evidence

    folder = tmp_path_factory.mktemp("evidence_site")
    counts = gather_evidence(scored.job(folder, clips=True))
    assert counts == {"events": 2, "made": 2, "kept": 0, "noted": 0, "removed": 0}
    return folder
