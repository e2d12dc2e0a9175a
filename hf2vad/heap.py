"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back_freed() -> None:
    """Return what glibc keeps of freed memory; does nothing with another C library.

    Frames, flows and activations are large blocks of many sizes, allocated in some threads and freed in others. glibc
    keeps them in heaps that fragment, so that a process grows for thousands of frames although it holds as much as at
    the first: docs/adr/0006.
    """
    if _LIBC is not None:
        _LIBC.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


_LIBC = _glibc()
