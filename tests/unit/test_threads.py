from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from hf2vad.threads import prefetch


def test_items_arrive_in_order() -> None:
    assert list(prefetch(range(100), depth=3)) == list(range(100))


def test_at_most_depth_items_wait() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    ready = prefetch(items(), depth=2)
    next(ready)
    time.sleep(0.2)
    assert len(made) <= 1 + 2 + 1
    ready.close()


def test_an_error_of_the_iterable_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ready = prefetch(items(), depth=2)
    assert next(ready) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ready)


def test_closing_early_ends_the_thread_and_closes_the_iterable() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    ready = prefetch(items(), depth=2)
    next(ready)
    ready.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
