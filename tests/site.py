"""A small site for tests: a Ray cluster, a generated archive, and a bundle trained on it by the jobs themselves."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from hf2vad.commandline import command
from hf2vad.jobs import load
from hf2vad.storage import join, put_bytes
from tests.seaweed import free_ports

ROOT = Path(__file__).parents[1]

MARK = "HF2VAD_TEST_SESSION"
"""Variable by which a head node's processes are told from those of others on the machine."""

SMALL = (
    "--preset=compact_eq9",
    "--model.flow-root=4",
    "--model.slots=8",
    *("--model.cvae-widths", "8", "16", "16", "16"),
    "--training.batch=32",
    "--training.flow.epochs=1",
    "--training.frame.epochs=1",
    "--threads=1",
)
"""A network of full structure that trains in seconds."""

TINY = (*SMALL, "--model.flow-root=2", *("--model.cvae-widths", "4", "8", "8", "8"))
"""The same of half the width, for what is scored again and again."""


@dataclass(frozen=True)
class RayCluster:
    """A head node that a test session started."""

    address: str
    dashboard: str
    process: subprocess.Popen[bytes]
    metrics: str = ""
    """Where its node's agent is scraped."""


@dataclass(frozen=True)
class Done:
    """A job that came to its end."""

    returncode: int
    stdout: str
    stderr: str

    def check(self, expect: int) -> None:
        shown = f"exit code {self.returncode}\n{self.stdout[-3000:]}\n{self.stderr[-3000:]}"
        assert self.returncode == expect, shown


@dataclass(frozen=True)
class Site:
    """What the jobs of a test work on."""

    train: Path
    test: Path
    labels: Path
    stc: Path
    bundle: Path
    """Of preset `features`, with which workers start without PyTorch, and a shard takes little time."""
    network: Path
    """A bundle whose score needs both networks, for tests in which these count, or that catch a run at its work."""


def environment() -> dict[str, str]:
    """Environment of the jobs: this Python first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    return free_ports(1)[0]


@contextlib.contextmanager
def ray_head(
    folder: Path, *, cpus: int = 2, dashboard: bool = True, env: dict[str, str] | None = None
) -> Iterator[RayCluster]:
    """A head node of its own, in the foreground of a process that is ended with the block; `env`: more for it.

    dashboard: start what jobs are submitted to, which is a dozen processes.
    """
    port, board, metrics = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += [f"--dashboard-port={board}", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1"]
    command += [f"--include-dashboard={str(dashboard).lower()}"]
    command += [f"--metrics-export-port={metrics}"]
    command += [
        f"--num-cpus={cpus}",
        "--object-store-memory=200000000",
        f"--temp-dir={folder}",
        "--disable-usage-stats",
        "--include-log-monitor=false",  # drivers do not ask for what workers print
    ]
    command += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
    marked = {**environment(), MARK: str(os.getpid()), **(env or {})}
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=marked, start_new_session=True)
        try:
            started = folder / "head.log"
            up = (lambda: _answers(board)) if dashboard else (lambda: "Ray runtime started" in started.read_text())
            _until(up, seconds=90, what=f"Ray head (see {started})")
            scraped = f"http://127.0.0.1:{metrics}/metrics"
            yield RayCluster(f"127.0.0.1:{port}", f"http://127.0.0.1:{board}", process, scraped)
        finally:
            end_session(process)


def end_session(leader: subprocess.Popen[bytes]) -> None:
    """Kill every process of the session that `leader` began, and return when none is left.

    Told to end, a head node waits 30 s for work that might move elsewhere, and then for its parts, a second each.
    Workers are in process groups of their own.
    """
    while found := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _lives_in(pid, leader.pid)]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        leader.wait()
        time.sleep(0.01)


def _lives_in(pid: int, session: int) -> bool:
    with contextlib.suppress(OSError):
        state, _, _, found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
        return state != "Z" and int(found) == session
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(holds: Callable[[], Any], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds} s")
        time.sleep(0.05)


wait_until = _until


def job(name: str, *arguments: object) -> list[str]:
    """The command line of a job."""
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]


@contextlib.contextmanager
def on_ray(head: RayCluster) -> Iterator[None]:
    """Let the jobs of the block run on a head node that this process is connected to, also those in other processes."""
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = head.address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        if before is not None:
            os.environ["RAY_ADDRESS"] = before


def run_job(name: str, *arguments: object, expect: int = 0) -> Done:
    """Run a job to its end in this process; fails unless it exits with `expect`.

    Its calls are made in this process too, or, in a test that asks for `ray_cluster`, through this process's connection
    to that, whose workers are warm. For what is about processes, environments and signals there is `run_process`.
    """
    shown, said = io.StringIO(), io.StringIO()
    if "RAY_ADDRESS" not in os.environ and "ray" in {item.name for item in fields(load(command(name)).settings)}:
        arguments = ("--ray.address", "none", *arguments)
    with _as_it_was(), contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            code = load(command(name)).main(list(map(str, arguments)))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    done = Done(code, shown.getvalue(), said.getvalue())
    done.check(expect)
    return done


def run_process(
    name: str, *arguments: object, expect: int = 0, env: dict[str, str] | None = None, seconds: float = 240
) -> Done:
    """The same in a process of its own, with its own connection and workers, and with `env` besides."""
    found = subprocess.run(
        job(name, *arguments),
        capture_output=True,
        text=True,
        env={**environment(), **(env or {})},
        cwd=ROOT,
        timeout=seconds,
    )
    done = Done(found.returncode, found.stdout, found.stderr)
    done.check(expect)
    return done


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what a job may do to its process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    log = logging.getLogger("hf2vad")
    handlers, level, on_sigterm = log.handlers, log.level, signal.getsignal(signal.SIGTERM)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        log.handlers = handlers
        log.setLevel(level)


@contextlib.contextmanager
def meanwhile(action: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `action` in a thread beside the block, and tell it when the block is over."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(action, over)
        try:
            yield
        finally:
            over.set()
            running.result(60)


def upload(folder: Path, uri: str) -> None:
    """Put every file under a folder into S3, but for training checkpoints."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "checkpoints" not in path.parts:
            put_bytes(join(uri, str(path.relative_to(folder))), path.read_bytes())


def last_run(out: Path) -> dict[str, Any]:
    """The newest run record under an output folder."""
    newest = max((out / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    record: dict[str, Any] = json.loads(newest.read_text())
    return record


def site_data(site: Path, name: str) -> dict[str, Any]:
    """What the page of a review site loads by `name`."""
    text = (site / "data" / f"{name}.js").read_text()
    found: dict[str, Any] = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    return found


def tables(out: Path) -> dict[str, bytes]:
    """Every final table under an output folder, by its path."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*.parquet"))
        if path.relative_to(out).parts[1] in ("frames", "objects", "events", "health")
    }


def ray_workers(task: str) -> list[int]:
    """Process ids of the workers that run `task` now, on the head node that this process started."""
    found, mark = [], f"{MARK}={os.getpid()}".encode()
    for entry in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", entry.name):
            with contextlib.suppress(OSError):
                title = (entry / "cmdline").read_bytes().decode(errors="replace")
                if title.startswith(f"ray::{task}") and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def kill_busy(task: str) -> None:
    """Kill a worker while it runs `task`: it is stopped first, or it might end the task before the signal comes."""
    killed: list[int] = []

    def one_is_killed() -> bool:
        for pid in ray_workers(task):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if pid in ray_workers(task):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    break
                os.kill(pid, signal.SIGCONT)
        return bool(killed)

    _until(one_is_killed, seconds=90, what=f"a worker that runs {task}")
