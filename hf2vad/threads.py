"""A step of a pipeline in a thread of its own, and the same step in several at once."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Generic, TypeVar

from hf2vad.profile import enter_lane, span

T = TypeVar("T")
R = TypeVar("R")


class _End(Generic[T]):
    """The last thing in the queue: the iterable is exhausted, or failed with `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[T], *, depth: int, name: str = "items") -> Generator[T, None, None]:
    """Yield `items`, made by a thread that runs at most `depth` of them ahead.

    An exception of the iterable is raised here. Closing this generator stops the thread and closes the iterable.
    The thread is the lane `name` of what is recorded here; it and the consumer count as `waiting` while they do.
    """
    ready: queue.Queue[T | _End[T]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: T | _End[T]) -> bool:
        if not stop.is_set() and not ready.full():
            ready.put_nowait(item)  # there is room: no other thread puts
            return True
        with span("waiting"):
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.05)
                except queue.Full:
                    continue
                return True
        return False

    def get() -> T | _End[T]:
        try:
            return ready.get_nowait()
        except queue.Empty:
            with span("waiting"):
                return ready.get()

    def work() -> None:
        enter_lane(name)
        iterator = iter(items)
        error: BaseException | None = None
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(iterator, Generator):
                with closing(iterator):
                    pass
        put(_End(error))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=f"prefetch-{name}", daemon=True)
    thread.start()
    try:
        while True:
            item = get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


def in_threads(call: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """`call` of each item, in order, in `threads` threads that are at most a few items ahead.

    An exception of a call is raised here, and no more calls are started.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(call, item))
                if len(waiting) >= 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
