"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.seaweed import SeaweedServer


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
