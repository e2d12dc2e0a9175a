"""Stop signals for a long job.

The first SIGTERM: what runs is finished, no more is started. When that takes longer than the grace period, or with a
second SIGTERM: what runs is dropped. When a time budget is used up, or a lease lost, no more is started either, and
what runs may take as long as it does. SIGINT (Ctrl-C) is no part of this: it ends the job at once, as ever.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from hf2vad.cluster.settings import GRACE_SECONDS

NEVER: Mapping[StopReason, Callable[[], bool]] = MappingProxyType({})


class StopReason(Enum):
    """Why no more work is started."""

    SIGTERM = "told by SIGTERM"
    LEASE = "the lease is lost"
    TIME = "the time budget is used up"


class Stop:
    """Says whether a job goes on. A context manager, which listens for SIGTERM in the main thread only."""

    def __init__(
        self, grace_seconds: float = GRACE_SECONDS, conditions: Mapping[StopReason, Callable[[], bool]] = NEVER
    ) -> None:
        """`grace_seconds`: how long what runs may take to finish after SIGTERM.

        `conditions`: further reasons, each with a function that says whether it holds; asked in this order.
        """
        self._grace, self._conditions = grace_seconds, conditions
        self._signals: list[float] = []
        self._before: object = None

    @property
    def reason(self) -> StopReason | None:
        """Why no more is to be started; none while work goes on."""
        if self._signals:
            return StopReason.SIGTERM
        return next((reason for reason, holds in self._conditions.items() if holds()), None)

    @property
    def signalled(self) -> bool:
        """True once SIGTERM has arrived."""
        return bool(self._signals)

    @property
    def overdue(self) -> bool:
        """True once the grace period is over and running work must be dropped."""
        return len(self._signals) > 1 or (self.signalled and time.monotonic() > self._signals[0] + self._grace)

    def __enter__(self) -> Stop:
        self._before = signal.getsignal(signal.SIGTERM)
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]

    def listen(self) -> None:
        """Take SIGTERM over once more: Ray puts a handler of its own when it connects, which ends the process."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._signals.append(time.monotonic())


class StopWord:
    """Passes the word to stop on to workers on any node; run as an actor, whose process imports no more than this."""

    def __init__(self) -> None:
        self._said = asyncio.Event()
        self._listeners: list[Any] = []

    async def say(self) -> None:
        """Say it: everyone who waits is told."""
        self._said.set()

    async def said(self) -> bool:
        """True once it was said."""
        return self._said.is_set()

    async def listen(self, actor: Any) -> None:
        """Note the handle of an actor that waits for the word."""
        self._listeners.append(actor)

    async def listeners(self) -> list[Any]:
        """Handles of the actors that have waited for the word, those that have died among them."""
        return self._listeners

    async def told(self) -> None:
        """Returns when it was said."""
        await self._said.wait()
