"""The lab cluster's SeaweedFS, started by its manifest's own command, lets in whom the Secret names and nobody else."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.manifests import containers, of_kind
from tests.seaweed import free_ports
from tests.site import environment

SECRET = {"AWS_ACCESS_KEY_ID": "lab-key", "AWS_SECRET_ACCESS_KEY": "lab-secret-of-this-test"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its container's command, with a folder and ports of this machine."""
    folder = tmp_path_factory.mktemp("lab")
    (container,) = containers(of_kind("lab", "StatefulSet"))
    ports = dict(zip(("master", "volume", "filer", "s3"), free_ports(4), strict=True))
    grpc = dict(zip(ports, free_ports(4), strict=True))
    arguments = [argument for argument in container["args"] if not argument.startswith(("-dir=", "-s3.port="))]
    assert len(arguments) == len(container["args"]) - 2
    here = [f"-{name}.port={port}" for name, port in ports.items()]
    here += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    here += [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    here += [f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}"]
    command = [Path(sys.executable).with_name(*container["command"]), *arguments, *here]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**environment(), **SECRET})
    try:
        url = f"http://127.0.0.1:{ports['s3']}"
        until = time.monotonic() + 60
        while put(url, *SECRET.values()) != 200:
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail((folder / "log").read_text()[-3000:])
            time.sleep(0.2)
        yield url
    finally:
        server.kill()
        server.wait()


def put(url: str, key: str, secret: str) -> int:
    """Status of an attempt to put an object; 0 where nobody answers."""
    request = AWSRequest("PUT", f"{url}/archive/object", data=b"frames")
    S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1").add_auth(request)
    return status(urllib.request.Request(request.url, b"frames", dict(request.headers.items()), method="PUT"))


def status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0


def test_it_takes_the_secrets_credentials(endpoint: str) -> None:
    assert put(endpoint, *SECRET.values()) == 200


@pytest.mark.parametrize(("key", "secret"), [("lab-key", "wrong"), ("another", "lab-secret-of-this-test")])
def test_it_refuses_other_credentials(endpoint: str, key: str, secret: str) -> None:
    assert put(endpoint, key, secret) == 403


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_it_refuses_whoever_has_none(endpoint: str, method: str) -> None:
    data = b"frames" if method == "PUT" else None
    assert status(urllib.request.Request(f"{endpoint}/archive/object", data, method=method)) == 403
