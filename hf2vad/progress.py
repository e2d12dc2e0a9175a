"""Progress of long work: a live bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SECONDS = 10.0
"""A log gets at most one line in this many seconds, and one at the end."""


class ProgressBar:
    """Counts work done against a total that may grow, with a few live figures beside it; writes to stderr."""

    def __init__(self, label: str, *, total: float | None = None, unit: str = "") -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = 0.0
        self._figures = ""
        self._start = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=total, figures="")

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._print_line()

    def grow(self, amount: float) -> None:
        """More work became known."""
        self._total = (self._total or 0) + amount
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def advance(self, amount: float = 1.0, figures: Mapping[str, str] | None = None) -> None:
        """Some work is done; `figures` are shown beside the bar."""
        self._done += amount
        if figures is not None:
            self._figures = "  ".join(f"{name} {value}" for name, value in figures.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, figures=self._figures)
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = now = time.monotonic()
        rate = self._done / max(now - self._start, 1e-9)
        share = f"{self._done:,.0f}/{self._total:,.0f}" if self._total else f"{self._done:,.0f}"
        left = f", {(self._total - self._done) / rate:,.0f} s left" if self._total and rate > 0 else ""
        unit = f" {self._unit}" if self._unit else ""
        print(
            f"{self._label}: {share}{unit}, {rate:,.1f}/s{left}  {self._figures}".rstrip(), file=sys.stderr, flush=True
        )
