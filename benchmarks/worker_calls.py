"""What the benchmark of workers has them do. A worker imports this module, so it imports little itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.calls import fail


def nothing() -> None:
    pass


def rest(seconds: float) -> None:
    time.sleep(seconds)


def imports(seconds: float) -> int:
    import hf2vad.tasks.scoring  # noqa: F401

    time.sleep(seconds)
    return os.getpid()


def hold(folder: str, seconds: float) -> None:
    """Say in `folder` who makes this call, and since when; the second try returns at once."""
    tries = len(list(Path(folder).iterdir()))
    (Path(folder) / f"{tries}-{os.getpid()}-{time.time()}").touch()
    if not tries:
        time.sleep(seconds)


def fail_first(folder: str) -> None:
    """As `hold`, but the first try finds its GPU broken."""
    hold(folder, 0.0)
    if len(list(Path(folder).iterdir())) == 1:
        fail("RuntimeError", "CUDA error: an illegal memory access was encountered")
