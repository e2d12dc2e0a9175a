"""Progress of long work: a live bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hf2vad import logs

PLAIN_SECONDS = 10.0
"""A log gets at most one line in this many seconds, and one at the end."""


class ProgressBar:
    """Counts work done against a total that may grow, with a few live figures beside it; writes to stderr."""

    def __init__(self, label: str, *, total: float | None = None, unit: str = "") -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = self._told = 0.0
        self._figures: Mapping[str, str] = {}
        self._start = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not logs.written():
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
            self._figures = dict(figures)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, figures=_shown(self._figures))
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self._print_line()

    def _print_line(self) -> None:
        now = time.monotonic()
        rate = self._done / max(now - self._start, 1e-9)
        lately = (self._done - self._told) / max(now - self._last_line, 1e-9)
        self._last_line, self._told = now, self._done
        left = (self._total - self._done) / rate if self._total and rate > 0 else None
        if logs.written():
            per_s, seconds = round(rate, 2), None if left is None else round(left)
            known: dict[str, Any] = {"done": self._done, "total": self._total, "unit": self._unit or None}
            known |= {"per_s": per_s, "per_s_lately": round(lately, 2), "seconds_left": seconds, **self._figures}
            logs.event("progress", **known)
            return
        share = f"{self._done:,.0f}/{self._total:,.0f}" if self._total else f"{self._done:,.0f}"
        unit = f" {self._unit}" if self._unit else ""
        shown_left = "" if left is None else f", {_duration(left)} left"
        line = f"{self._label}: {share}{unit}, {rate:,.1f}/s{shown_left}  {_shown(self._figures)}"
        print(line.rstrip(), file=sys.stderr, flush=True)


@contextmanager
def ticking(label: str) -> Iterator[None]:
    """A bar that counts the seconds of the block, for work without a measure of its own."""
    done = threading.Event()
    with ProgressBar(label, unit="s") as bar:

        def tick() -> None:
            last = time.monotonic()
            while not done.is_set():
                done.wait(1.0)
                now = time.monotonic()
                bar.advance(now - last)
                last = now

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _shown(figures: Mapping[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in figures.items())


def _duration(seconds: float) -> str:
    """`42 s`, `12 min`, `5 h 07 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"
