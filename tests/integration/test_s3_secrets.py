"""Credentials, endpoint and TLS: the AWS chain's own variables, and no secret in anything a run writes or prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.seaweed import SeaweedServer
from tests.site import ROOT, Site, environment, job

KEY, SECRET = "PLANTEDACCESSKEYXYZ7", "planted/secret+of-this-test=AbCdEf0123456789"


def run(env: dict[str, str], folder: Path, *arguments: object) -> tuple[int, str]:
    """A scoring job with a Ray of its own, whose logs are kept in `folder`; its exit code and all that it printed."""
    logs = Path(tempfile.mkdtemp(prefix="hf2vad-logs-"))  # short: Ray's sockets have paths of at most 107 bytes
    kept = {name: value for name, value in environment().items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        job("score_archive", *arguments, "--ray.address", "local", "--ray.workers", 1),
        capture_output=True,
        text=True,
        env={**kept, **env, "RAY_TMPDIR": str(logs)},
        timeout=240,
    )
    shutil.copytree(logs, folder / "ray", ignore=_no_plain_files)
    shutil.rmtree(logs)
    return done.returncode, done.stdout + done.stderr


def _no_plain_files(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_socket() or Path(folder, name).is_symlink()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[SeaweedServer]:
    """A server of its own with the planted credentials, over HTTP and over TLS."""
    with SeaweedServer(place, access_key=KEY, secret_key=SECRET, certificate=certificate(place)) as running:
        yield running


def holding_secret(*folders: Path) -> list[str]:
    """Files below the folders in which the secret stands, as it is or percent-encoded."""
    wanted = [text.encode() for text in (SECRET, urllib.parse.quote(SECRET, safe=""), urllib.parse.quote(SECRET))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in wanted)]


def storage(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Some lines of Python with everything of hf2vad.storage, in a process with those variables."""
    code = f"from hf2vad.storage import *\n{script}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env}, timeout=200)


def test_no_secret_is_in_anything_that_a_run_writes_or_prints(
    site: Site, server: SeaweedServer, place: Path, tmp_path: Path
) -> None:
    clip = site.test / "01_runner.mp4"
    script = (
        f"put_bytes('s3://cams/a/clip.mp4', open({str(clip)!r}, 'rb').read()); put_bytes('s3://cams/a/b.mp4', b'?')"
    )
    assert storage(script, **server.env).returncode == 0
    arguments = ("--archive", "s3://cams/a", "--bundle", site.bundle, "--out", "s3://cams/out", "--log", "json")
    code, printed = run(server.env, tmp_path, *arguments)
    assert code == 3, printed
    assert "b.mp4" in printed
    assert '"message": "run ended"' in printed
    assert SECRET not in printed
    assert KEY not in printed
    listed = storage(
        "print(len([e for e in list_files('s3://cams/out') if e.name.endswith('.parquet')]))", **server.env
    )
    assert listed.stdout.strip() == "4"
    assert holding_secret(place) == [str(place / "s3.json")], (
        "the search finds it where it is: in the server's settings"
    )
    assert holding_secret(tmp_path, place / "data") == []


WRONG = {
    "another secret": {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET[::-1]},
    "no such key": {"AWS_ACCESS_KEY_ID": "NOSUCHKEYOFMINE", "AWS_SECRET_ACCESS_KEY": SECRET},
    "no address": {"AWS_ENDPOINT_URL": f"nonsense://someone:{urllib.parse.quote(SECRET, safe='')}@"},
}


@pytest.mark.parametrize("name", WRONG)
def test_no_secret_is_in_what_a_failing_run_says(site: Site, server: SeaweedServer, tmp_path: Path, name: str) -> None:
    arguments = ("--archive", "s3://cams/a", "--bundle", site.bundle, "--out", tmp_path / "out")
    done = subprocess.run(
        job("score_archive", *arguments),
        capture_output=True,
        text=True,
        env={**environment(), **server.env, **WRONG[name]},
        timeout=200,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert len(done.stderr.splitlines()) == 1
    for secret in (SECRET, SECRET[::-1], urllib.parse.quote(SECRET, safe="")):
        assert secret not in said


def test_credentials_in_an_address_are_refused_and_not_repeated(site: Site, tmp_path: Path) -> None:
    uri = f"s3://{KEY}:{urllib.parse.quote(SECRET, safe='')}@cams/a"
    done = subprocess.run(
        job("score_archive", "--archive", uri, "--bundle", site.bundle, "--out", tmp_path / "out"),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=100,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: an S3 URI holds no credentials")
    assert KEY not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_an_endpoint_over_tls_is_trusted_with_its_certificate_and_only_then(server: SeaweedServer, place: Path) -> None:
    script = "put_bytes('s3://cams/tls', b'over tls'); print(read_bytes('s3://cams/tls'))"
    env = {**server.env, "AWS_ENDPOINT_URL": server.tls_endpoint}
    trusted = storage(script, **env, AWS_CA_BUNDLE=str(place / "cert.pem"))
    assert trusted.stdout.strip() == "b'over tls'", trusted.stderr
    refused = storage(script, **env)
    assert refused.returncode == 1
    assert "StorageError: s3://cams/tls: " in refused.stderr
    assert "certificate" in refused.stderr.lower()
    assert SECRET not in refused.stderr
