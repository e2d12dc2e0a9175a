"""Values that a worker process keeps between calls, such as a loaded network or an extractor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Warm(Generic[P, T]):
    """A decorator: the function's last value is kept in this process, and returned while its arguments stay the same.

    Called with other arguments, the function first lets go of the value before, so that no worker holds two networks.
    """

    def __init__(self, make: Callable[P, T]) -> None:
        functools.update_wrapper(self, make)
        self._make = make
        self._kept: tuple[object, T] | None = None
        self.loads = 0
        """Number of values made in this process."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        arguments = (args, kwargs)
        if self._kept is None or self._kept[0] != arguments:
            self.forget()
            self._kept = arguments, self._make(*args, **kwargs)
            self.loads += 1
        return self._kept[1]

    def forget(self) -> None:
        """Let go of the value; the next call makes another."""
        self._kept = None
