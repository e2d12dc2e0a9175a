"""Jobs and calls as processes of their own, and how much memory a job's workers take."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

SPAWN = multiprocessing.get_context("spawn")

MARK = "HF2VAD_MEMORY_BENCHMARK"
"""Variable by which this run's workers are told from others on the machine."""


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]


def job(name: str, *arguments: object) -> None:
    subprocess.run(command(name, *arguments), check=True, stdout=subprocess.DEVNULL)


def peak_of_workers(name: str, *arguments: object) -> float:
    """The highest peak among the processes that work on shards, in MiB."""
    peaks: dict[int, float] = {}
    marked = {**os.environ, MARK: str(os.getpid())}
    with subprocess.Popen(command(name, *arguments), stdout=subprocess.DEVNULL, env=marked) as running:
        while running.poll() is None:
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        watch(int(entry.name), peaks)
            time.sleep(0.1)
    if running.returncode:
        raise SystemExit(running.returncode)
    return max(peaks.values())


def watch(pid: int, peaks: dict[int, float]) -> None:
    """Note the peak of a process that is, or was, at work on a shard."""
    if pid not in peaks:
        ours = f"{MARK}={os.getpid()}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if not ours or not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::run_shard"):
            return
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peaks[pid] = int(line.split()[1]) / 1024


def apart(function: Callable[..., dict[str, Any]], *args: object) -> dict[str, Any]:
    """A call in a process of its own."""
    receive, send = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_send, args=(send, function, args))
    process.start()
    send.close()
    try:
        found: dict[str, Any] = receive.recv()
    except EOFError:
        raise SystemExit(f"{function.__name__} failed") from None
    finally:
        process.join()
    return found


def _send(to: Connection, function: Callable[..., dict[str, Any]], args: tuple[object, ...]) -> None:
    to.send(function(*args))
