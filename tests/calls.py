"""Functions for workers to call. A worker imports this module, so it imports little itself."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import time
from pathlib import Path

from hf2vad import errors


def fail(kind: str, message: str = "no luck") -> None:
    """Raise an error of ours, or a built-in one, by its name."""
    raise {**vars(builtins), **vars(errors)}[kind](message)


def fail_times(marks: str, times: int, kind: str) -> str:
    """Fail the first so many times, counted in the file `marks`."""
    with open(marks, "a") as file:
        file.write(".")
    if Path(marks).stat().st_size <= times:
        fail(kind)
    return "well again"


def note(path: str, seconds: float = 0.0) -> int:
    """Leave a mark in a file; returns the process id."""
    with open(path, "a") as file:
        file.write(".")
    time.sleep(seconds)
    return os.getpid()


def modules_with_an_array() -> set[str]:
    """Names of what is imported once pyarrow has made an array."""
    import pyarrow as pa

    pa.array([1.5])
    return set(sys.modules)


def pass_gate(gate: str, begun: str) -> int:
    """Leave the file `begun`, and wait for the file `gate`; returns the process id."""
    Path(begun).touch()
    while not Path(gate).exists():
        time.sleep(0.01)
    return os.getpid()


def die(pids: str) -> None:
    """Leave the process id in a file, and kill the process."""
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def fail_on_the_gpu(kind: str, message: str, pids: str) -> None:
    """Raise an error of torch, or a RuntimeError where this torch does not have it."""
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\n")
    import torch

    raise getattr(torch, kind, RuntimeError)(message)


def busy(folder: str) -> None:
    """Work until interrupted; leaves files that say when it began and whether it could clean up."""
    Path(folder, "begun").touch()
    try:
        while True:
            time.sleep(0.01)
    finally:
        Path(folder, "cleaned").touch()
