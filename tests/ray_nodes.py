"""A Ray cluster of several nodes on one machine, each a tree of processes that can be lost as a whole."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.site import MARK, environment, free_port, wait_until

START_SECONDS = 90
"""A node that has not started by then has failed."""

_numbers = itertools.count()


@dataclass(frozen=True)
class RayNode:
    """One node: `ray start --block`, and what it started."""

    process: subprocess.Popen[bytes]
    mark: bytes
    """In the environment of each of its processes, and of no other."""
    log: Path

    def started(self) -> bool:
        """Whether it has started. Raises RuntimeError if it has ended."""
        said = self.log.read_text(errors="replace")
        if self.process.poll() is not None:
            raise RuntimeError(f"a Ray node ended with {self.process.returncode}; the end of its log:\n{said[-2000:]}")
        return "Ray runtime started" in said

    def workers(self, *tasks: str) -> list[int]:
        """Process ids of its workers that run one of `tasks` now; of none named, all of its workers."""
        titles = tuple(f"ray::{task}" for task in tasks) or ("ray::",)
        return [pid for pid, title in self._processes() if title.startswith(titles)]

    def lose(self) -> None:
        """Kill everything that runs on it, with no time for farewells."""
        while found := [pid for pid, _ in self._processes()]:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def _processes(self) -> list[tuple[int, str]]:
        """Process ids and titles, in order of the ids."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if self.mark in (entry / "environ").read_bytes().split(b"\0"):
                        title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        found.append((int(entry.name), title))
        return sorted(found)


class RayNodes:
    """A head node and others, of one CPU each; a context manager. `env`: more for the environment of all of them."""

    def __init__(self, count: int, env: dict[str, str]) -> None:
        self._count, self._env = count, env
        self.address = ""
        """What RAY_ADDRESS must be."""
        self.nodes: list[RayNode] = []
        """The head first."""

    def __enter__(self) -> RayNodes:
        self._folder = Path(tempfile.mkdtemp(prefix="hf2vad-nodes-"))  # short, for the paths of Ray's sockets
        try:
            port = free_port()
            self.address = f"127.0.0.1:{port}"
            self._add("--head", f"--port={port}", f"--temp-dir={self._folder}", "--include-dashboard=false")
            for _ in range(self._count - 1):
                self._add(f"--address={self.address}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def lose_all(self) -> None:
        """Lose every node, the head first."""
        for node in self.nodes:
            node.lose()

    def _end(self) -> None:
        self.lose_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self, *options: str) -> None:
        number = next(_numbers)
        mark = f"{os.getpid()} node {number}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command += ["--include-log-monitor=false"]  # drivers do not ask for what workers print
        command += ["--num-cpus=1", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
        command += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
        log = self._folder / f"node-{number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, *options],
                stdout=out,
                stderr=out,
                env={**environment(), MARK: mark, **self._env},
                start_new_session=True,
            )
        self.nodes.append(RayNode(process, f"{MARK}={mark}".encode(), log))
        # One by one: nodes that start together may choose the same name for their sockets.
        wait_until(self.nodes[-1].started, seconds=START_SECONDS, what="a Ray node")
