"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hf2vad.cluster.connection import connected
from hf2vad.demo.archive import generate
from tests.seaweed import SeaweedServer
from tests.site import SMALL, RayCluster, Site, ray_head, run_job

if TYPE_CHECKING:
    from tests.evidence import Scored


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
def ray_cluster(s3: SeaweedServer) -> Iterator[RayCluster]:
    """A Ray head node with two CPUs, whose environment leads to the S3 server.

    This process is connected to it for the rest of the session; jobs in other processes find it by RAY_ADDRESS.
    """
    folder = Path(tempfile.mkdtemp(prefix="hf2vad-ray-"))  # short: Ray's sockets have paths of at most 107 bytes
    try:
        with ray_head(folder) as head, connected(head.address):
            before = os.environ.get("RAY_ADDRESS")
            os.environ["RAY_ADDRESS"] = head.address
            yield head
            if before is None:
                del os.environ["RAY_ADDRESS"]
            else:
                os.environ["RAY_ADDRESS"] = before
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, ray_cluster: RayCluster) -> Site:
    """A generated archive of a few short clips, extracted and trained on by the jobs."""
    folder = tmp_path_factory.mktemp("site")
    archive = generate(folder / "archive", train_clips=2, test_clips=3, frames=60)
    run_job("extract_stc", "--archive", archive.train, "--out", folder / "stc", "--shard-frames", 50)
    run_job("train", "--stc", folder / "stc", "--out", folder / "bundle", *SMALL)
    return Site(archive.train, archive.test, archive.labels, folder / "stc", folder / "bundle")


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
