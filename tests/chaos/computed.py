"""How often each shard was computed, as the store saw it, and whether the kills explain it."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

PUT = re.compile(rb"PUT /([^ ?]+)[ ?]")
INVOCATION = re.compile(rb"\r\namz-sdk-invocation-id: *([^\r]+)", re.IGNORECASE)

ON_ITS_WAY_S = 0.5
"""What a process had sent when it was killed is read by the proxy within this time, on a machine with much to do."""

What = Literal["worker", "node", "driver"]


@dataclass
class Kill:
    """Something was killed."""

    what: What
    at: float
    """time.monotonic()."""
    until: float
    """When the last process that it ended was gone: a driver's workers may put a shard after their driver's death."""
    shards: int
    """Shards that it may have cost, at most: those that were running."""


@dataclass
class Computed:
    """The puts of shards that reached the store under one prefix.

    A computation of a shard ends with one put. The client may send that several times, because an answer was lost;
    those carry one invocation id. So the different ids of a shard's puts are its computations.
    """

    prefix: str
    """bucket/prefix of a run's output."""
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each shard's key, the moment that each invocation was first on its way to the store."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, head: bytes, came: float) -> None:
        """Note a request that the store has answered, and that had come at `came`."""
        put = PUT.match(head)
        key = unquote(put[1].decode()) if put else ""
        if not key.startswith(f"{self.prefix}/bundle=") or "/shards/" not in key:
            return
        invocation = INVOCATION.search(head)
        assert invocation is not None, "the client names no invocation"
        with self._lock:
            self.times.setdefault(key, {}).setdefault(invocation[1].decode(), came)

    @property
    def shards(self) -> int:
        """Different shards put."""
        return len(self.times)

    @property
    def computations(self) -> int:
        """Computations of all shards together."""
        with self._lock:
            return sum(map(len, self.times.values()))

    def unexplained(self, kills: list[Kill]) -> list[str]:
        """The shards that were computed again although nothing was killed since the time before, and when."""
        found = []
        for key, invocations in self.times.items():
            moments = sorted(invocations.values())
            for before, after in itertools.pairwise(moments):
                if not any(before <= kill.until + ON_ITS_WAY_S and kill.at <= after for kill in kills):
                    since = min((before - kill.until for kill in kills if kill.until < before), default=before)
                    found.append(f"{key}: {since:.2f} s after a kill, and {after - before:.2f} s later")
        return found
