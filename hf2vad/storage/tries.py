"""Number of attempts at a request to a store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

ATTEMPTS = 5
"""Tries of one request, the first included."""
FIRST_PAUSE_S = 0.5
"""Longest pause before the second try; it doubles from try to try. Pauses are random, so that not all come at once."""


def tried(request: Callable[[], T], may_pass: Callable[[Exception], bool], *, attempts: int = ATTEMPTS) -> T:
    """Return `request()`, tried up to `attempts` times while it fails with an error that `may_pass` accepts."""
    for attempt in range(1, attempts):
        try:
            return request()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(random.uniform(0, FIRST_PAUSE_S * 2 ** (attempt - 1)))
    return request()
