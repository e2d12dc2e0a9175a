"""How often each shard was computed, as the store saw it, and whether the kills explain it."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

PUT = re.compile(rb"PUT /([^ ?]+)[ ?]")

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

    A computation of a shard ends with one put that is answered. Puts whose answer was lost on the way do not count: the
    client sends those again.
    """

    prefix: str
    """bucket/prefix of a run's output."""
    times: dict[str, list[float]] = field(default_factory=dict)
    """Of each shard's key, the moment that each put was on its way to the store."""
    stored: set[str] = field(default_factory=set)
    """Keys of the shards that are in the store. A worker that is killed before it sends a put again whose answer was
    lost has stored its shard, and nobody computes it again."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, head: bytes, came: float, answered: bool) -> None:
        """Note a request that the store has answered and that had come at `came`; `answered`: the client is told."""
        put = PUT.match(head)
        key = unquote(put[1].decode()) if put else ""
        if not key.startswith(f"{self.prefix}/bundle=") or "/shards/" not in key:
            return
        with self._lock:
            self.stored.add(key)
            if answered:
                self.times.setdefault(key, []).append(came)

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
        for key, moments in self.times.items():
            for before, after in itertools.pairwise(sorted(moments)):
                if not any(before <= kill.until + ON_ITS_WAY_S and kill.at <= after for kill in kills):
                    since = min((before - kill.until for kill in kills if kill.until < before), default=before)
                    found.append(f"{key}: {since:.2f} s after a kill, and {after - before:.2f} s later")
        return found
