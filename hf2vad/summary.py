"""Summary of a job at its end: six lines, or everything with --verbose. The record on storage has everything."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType

LINES = 6
"""Lines of a summary without --verbose, at most."""

_EVERYTHING = False


def show_everything(everything: bool) -> None:
    """Choose for this process between whole summaries and short ones."""
    global _EVERYTHING
    _EVERYTHING = everything


def shows_everything() -> bool:
    """True if summaries are whole."""
    return _EVERYTHING


def print_lines(lines: Sequence[str], *, last: str = "") -> None:
    """Print the first of `lines`, and `last` after them; what is left out is counted."""
    room = LINES - bool(last)
    if not _EVERYTHING and len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more lines with --verbose"]
    for line in [*lines, *([last] if last else [])]:
        print(line)


def within_line(text: str) -> str:
    """`text` without the clauses at its end that do not fit in a line of the terminal, but for the first one.

    All of it with --verbose, and where stdout is no terminal.
    """
    columns = shutil.get_terminal_size().columns
    if _EVERYTHING or not sys.stdout.isatty() or len(text) <= columns:
        return text
    ends = [clause.start() for clause in re.finditer(r"[,;.] ", text)]
    return text[: max([end for end in ends if end <= columns], default=min(ends, default=len(text)))]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Print nothing of what the block prints on stdout, unless summaries are whole: for the steps of a larger job."""
    with contextlib.nullcontext() if _EVERYTHING else contextlib.redirect_stdout(io.StringIO()):
        yield


def print_whole(shown: RenderableType, width: int = 100) -> None:
    """Print what only --verbose shows, such as a table; nothing without it."""
    if _EVERYTHING:
        Console(width=width).print(shown, markup=False)
