"""Listings of subfolders that are on their way while those before them are read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain

from hf2vad.storage import Entry, list_dir

AHEAD = 8
"""Subfolders whose listings are begun before their turn. Each holds a page of a listing, some 0.5 MB."""
MOST_WAITING = 1000
"""Entries that wait for a folder before them, at most."""


def with_listings(
    entries: Iterable[Entry],
    enters: Callable[[Entry], bool],
    listed: Callable[[str], Iterator[Entry]] | None = None,
) -> Iterator[tuple[Entry, Iterator[Entry] | None]]:
    """Each of `entries` in turn, with what is directly below it where it is a folder that `enters` says yes to.

    `listed`: what is listed of a folder, in place of that.

    Requests then wait side by side: 110 folders at 50 ms a request take 1.4 s in place of 6.3. What a listing raises,
    it raises when it is read.
    """
    waiting: deque[tuple[Entry, Future[Iterator[Entry]] | None]] = deque()
    folders = 0
    for entry in entries:
        begun = None
        if entry.is_dir and enters(entry):
            begun = _threads(os.getpid()).submit(_begun, entry.uri, listed or list_dir)
        folders += begun is not None
        waiting.append((entry, begun))
        while waiting and (waiting[0][1] is None or folders > AHEAD or len(waiting) > MOST_WAITING):
            folders -= waiting[0][1] is not None
            yield _with_listing(*waiting.popleft())
    while waiting:
        yield _with_listing(*waiting.popleft())


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:
    """Threads of this process. Threads from before a fork do not survive it."""
    return ThreadPoolExecutor(AHEAD, "listing")


def _with_listing(entry: Entry, begun: Future[Iterator[Entry]] | None) -> tuple[Entry, Iterator[Entry] | None]:
    return entry, None if begun is None else _read(begun)


def _begun(uri: str, listed: Callable[[str], Iterator[Entry]]) -> Iterator[Entry]:
    """A listing whose first page is there."""
    listing = listed(uri)
    first = next(listing, None)
    return listing if first is None else chain([first], listing)


def _read(begun: Future[Iterator[Entry]]) -> Iterator[Entry]:
    yield from begun.result()
