"""A lease in storage: of several runs that write to one place, one works.

The objects `<prefix>/lease/<number>.json` are generations of the lease; who puts the next number first, put-if-absent,
is the owner until its term ends, and renews the term by putting its own object again. A dead owner's term ends by
itself, and the next run puts the next generation. An owner that was held up for longer (a paused machine) finds a later
generation when it renews, and stops. What it had in flight by then does no harm: outputs are deterministic and appear
whole.

Terms are compared by clocks, which may differ by `SKEW` seconds between machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from hf2vad import logs
from hf2vad.errors import LeaseError, NotFoundError, StorageError
from hf2vad.storage import delete, join, list_dir, put_bytes, put_if_absent, read_json

SKEW = 30.0
"""Seconds that the clocks of two machines may differ by."""


@dataclass(frozen=True)
class Term:
    """Content of a generation's object."""

    owner: str
    """host:pid:random, told to whoever finds the lease taken."""
    since: float
    """Unix time at which this owner got it."""
    until: float
    """Unix time at which it ends unless it is renewed; 0: given back."""


class Lease:
    """The lease of one prefix; a context manager. Its term is renewed by a thread while the block runs."""

    def __init__(
        self, prefix: str, *, seconds: float = 120.0, skew: float = SKEW, clock: Callable[[], float] = time.time
    ) -> None:
        """`seconds`: how long a term is, and so how long a dead owner keeps others out (plus `skew`)."""
        self._folder = join(prefix, "lease")
        self._prefix, self._seconds, self._skew, self._clock = prefix, seconds, skew, clock
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._generation = 0
        self._since = 0.0
        self._until = 0.0
        self._done = threading.Event()
        self._lost = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def lost(self) -> bool:
        """True if the work must stop, because another run may have begun it."""
        return self._lost.is_set() or self._clock() > self._until

    def __enter__(self) -> Lease:
        """Take the lease. Raises LeaseError, which names the owner, when it is taken."""
        self._take()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back, unless it was lost."""
        self._done.set()
        if self._renewer is not None:
            self._renewer.join()
        if not self.lost:
            logs.event("lease given back", lease=self._uri(self._generation), owner=self.owner)
            with contextlib.suppress(StorageError):  # its term ends by itself
                put_bytes(self._uri(self._generation), self._term(0.0))

    def _take(self) -> None:
        generations = self._generations()
        latest = generations[-1] if generations else 0
        if latest:
            term = self._read(latest)
            if term.until and self._clock() <= term.until + self._skew:
                raise self._taken(term)
        self._generation, self._since = latest + 1, self._clock()
        until = self._since + self._seconds
        put_if_absent(self._uri(self._generation), self._term(until))
        winner = self._read(self._generation)  # a put whose answer was lost is ours all the same
        if winner.owner != self.owner:
            raise self._taken(winner)
        last = self._generations()[-1]
        if last != self._generation:  # listed long ago: others have had their turn since
            raise self._taken(self._read(last))
        self._until = until
        logs.event("lease taken", lease=self._uri(self._generation), owner=self.owner, seconds=self._seconds)
        for old in generations:
            delete(self._uri(old))

    def _taken(self, term: Term) -> LeaseError:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(term.since))
        left = max(0.0, term.until + self._skew - self._clock())
        return LeaseError(
            f"{self._prefix}: {term.owner} is at work there since {since} UTC; let it finish, or, if it is dead, "
            f"start again in {left:.0f} s"
        )

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 4):
            try:
                if self._generations()[-1:] != [self._generation]:
                    self._lost.set()
                    logs.warn("lease lost", lease=self._uri(self._generation), owner=self.owner)
                    return
                until = self._clock() + self._seconds
                put_bytes(self._uri(self._generation), self._term(until))
                self._until = until
            except StorageError as error:
                logs.warn("lease not renewed", lease=self._uri(self._generation), owner=self.owner, reason=str(error))
                continue  # again, until the term ends

    def _generations(self) -> list[int]:
        try:
            names = [entry.name.removesuffix(".json") for entry in list_dir(self._folder) if not entry.is_dir]
        except NotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def _read(self, generation: int) -> Term:
        try:
            row = read_json(self._uri(generation))
        except NotFoundError:  # its next owner has just removed it
            return Term("another run", self._clock(), self._clock() + self._seconds)
        return Term(str(row["owner"]), float(row["since"]), float(row["until"]))

    def _term(self, until: float) -> bytes:
        return json.dumps(asdict(Term(self.owner, self._since, until))).encode()

    def _uri(self, generation: int) -> str:
        return join(self._folder, f"{generation:010d}.json")
