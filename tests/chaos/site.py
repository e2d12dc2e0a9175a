"""What the chaos suite runs on: an archive and a bundle in S3, a proxy before it, and nodes that see only the proxy."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from hf2vad.bundle.bundle import Bundle, save_bundle
from hf2vad.features.settings import FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.storage import list_files, read_bytes, read_json
from tests.bundles import make_bundle, normal
from tests.chaos.archive import write_archive
from tests.chaos.computed import Computed
from tests.fault_proxy import FaultProxy, Faults
from tests.ray_nodes import RayNodes
from tests.seaweed import SeaweedServer
from tests.site import ROOT, environment, job, upload
from tests.stc import SMALL_MODEL

SPEED = make_bundle({}, fusion=FusionConfig.of({"speed": 1.0}), calibration=normal(speed=(1.0, 1.0)))


@dataclass
class Driver:
    """A job that was started."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    """What it has printed on stdout and stderr."""

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def end(self, seconds: float) -> tuple[int, str]:
        """Wait until it ends by itself; returns its exit code, and what it printed. Raises TimeoutExpired."""
        code = self.process.wait(seconds)
        self.log.seek(0)
        return code, self.log.read().decode(errors="replace")


@dataclass
class ChaosSite:
    """One archive, one bundle, one cluster; `run` names a prefix of scores."""

    bucket: str
    corrupt: list[str]
    """Names of the damaged videos."""
    options: tuple[object, ...]
    """More of the job's command line."""
    proxy: FaultProxy
    nodes: RayNodes
    computed: dict[str, Computed]
    """By run."""

    def arguments(self, run: str) -> tuple[object, ...]:
        """Of the job score_archive."""
        where = ("--archive", f"{self.bucket}/archive", "--bundle", f"{self.bucket}/bundle")
        return (*where, "--out", f"{self.bucket}/{run}", "--engine", "eager", *self.options)

    def start(self, run: str, *more: object) -> Driver:
        """A driver at work; `more`: options of its own."""
        env = {**environment(), "AWS_ENDPOINT_URL": self.proxy.endpoint, "RAY_ADDRESS": self.nodes.address}
        log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the driver; a pipe would fill up
        command = job("score_archive", *self.arguments(run), *more)
        return Driver(subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=ROOT), log)

    def watch(self, run: str) -> Computed:
        """Count the shards that are computed under `run` from now on."""
        self.computed[run] = Computed(f"{self.bucket}/{run}".removeprefix("s3://"))
        return self.computed[run]

    def outputs(self, run: str) -> dict[str, bytes]:
        """All that a run leaves for readers and for the next run, by key; of failure rows, all but how often."""
        found = {}
        for entry in list_files(f"{self.bucket}/{run}"):
            if entry.name.startswith("runs/"):
                continue
            content = read_bytes(entry.uri)
            if "/failures/" in entry.name:
                content = json.dumps({**json.loads(content), "runs": None}).encode()
            found[entry.name] = content
        return found

    def differences(self, run: str, other: str) -> list[str]:
        """Keys that only one of two runs left, or that differ in content."""
        ours, theirs = self.outputs(run), self.outputs(other)
        return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))

    def record(self, run: str) -> dict[str, Any]:
        """Of the last driver that came to its end."""
        found: dict[str, Any] = read_json(max(e.uri for e in list_files(f"{self.bucket}/{run}/runs", ".json")))
        return found

    def failures(self, run: str) -> dict[str, str]:
        """Reasons by the videos' names."""
        rows = [
            json.loads(read_bytes(entry.uri))
            for entry in list_files(f"{self.bucket}/{run}", ".json")
            if "/failures/" in entry.name
        ]
        return {row["video"]: row["reason"] for row in rows}


@contextlib.contextmanager
def chaos_site(
    s3: SeaweedServer, folder: Path, *, bucket: str, nodes: int, videos: int, corrupt: int, frames: int, network: bool
) -> Iterator[ChaosSite]:
    """A site in a bucket of its own, whose bundle has a network or plain speed alone, with which workers start without
    PyTorch. This process's environment must lead to `s3`, not to the proxy."""
    damaged = write_archive(folder, videos=videos, corrupt=corrupt, frames=frames)
    upload(folder, f"s3://{bucket}/archive")
    save_bundle(f"s3://{bucket}/bundle", _network() if network else SPEED)
    computed: dict[str, Computed] = {}

    def seen(head: bytes, came: float, answered: bool) -> None:
        for one in list(computed.values()):
            one.see(head, came, answered)

    options = ("--shard-frames", 8, "--ray.retries", 50, "--ray.node-retries", 50)
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(s3.endpoint, Faults(), seen=seen))
        cluster = stack.enter_context(RayNodes(nodes, {**s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}))
        yield ChaosSite(f"s3://{bucket}", damaged, options, proxy, cluster, computed)


def _network() -> Bundle:
    """A small network as it was initialised: what it scores means nothing, and is the same each time."""
    torch.manual_seed(0)
    return make_bundle(HF2VAD(SMALL_MODEL).state_dict())
