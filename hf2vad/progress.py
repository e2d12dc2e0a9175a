"""Progress of long work: a live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from hf2vad import logs
from hf2vad.plurals import plural

PLAIN_SECONDS = 10.0
"""A log gets at most one line in this many seconds, and one at the end."""
SECONDS = "s"
"""Unit of a bar that counts seconds."""


@dataclass
class _Stage:
    """A part of a job whose parts share one bar."""

    start: float
    """Share of the whole that is done before it."""
    share: float
    """Its own share of the whole."""
    bars: int
    """Bars that it is made of."""
    begun: int = 0
    """Bars that have begun."""


class Screen:
    """The live line at the bottom of a terminal: what is done now, for how long, and how far it is."""

    def __init__(self, label: str) -> None:
        console = Console(file=sys.stderr)
        columns = ("{task.description}", BarColumn(), "{task.fields[count]}", "{task.fields[figures]}")
        shown = [TextColumn(column) if isinstance(column, str) else column for column in columns]
        self._progress = Progress(
            *shown,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._main = self._progress.add_task(label, total=None, count="", figures="")
        self._stage: _Stage | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Screen:
        console = self._progress.console
        if sys.stdout.isatty():
            self._stack.enter_context(contextlib.redirect_stdout(_Above(console, sys.stdout)))
        self._stack.enter_context(contextlib.redirect_stderr(_Above(console, sys.stderr)))
        self._progress.start()
        self._stack.callback(self._progress.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def label(self, text: str) -> None:
        """Say what is done now, where no stage does."""
        if self._stage is None:
            self._progress.reset(self._main, description=text, total=None)

    def begin(self, label: str, total: float | None) -> TaskID:
        """A bar for `total` units of work; within a stage it is the stage's part of the whole bar."""
        if self._stage is not None:
            self._stage.begun += 1
            return self._main
        self._progress.update(self._main, visible=False)
        return self._progress.add_task(label, total=total, count="", figures="")

    def update(self, bar: TaskID, done: float, total: float | None, figures: str) -> None:
        """How far a bar is."""
        stage = self._stage
        if stage is None:
            count = f"{done:,.0f}" + (f"/{total:,.0f}" if total else "")
            self._progress.update(bar, completed=done, total=total, count=count, figures=figures)
            return
        inner = min(1.0, (min(stage.begun, stage.bars) - 1 + (done / total if total else 0)) / stage.bars)
        whole = max(self._progress.tasks[0].completed, stage.start + stage.share * inner)
        self._progress.update(self._main, completed=whole, count=f"{whole:.0%}", figures=figures)

    def end(self, bar: TaskID) -> None:
        """Remove a bar; the line says what is done now."""
        if bar != self._main:
            self._progress.refresh()
            self._progress.remove_task(bar)
            self._progress.reset(self._main, visible=True)

    @contextmanager
    def stage(self, label: str, start: float, share: float, bars: int) -> Iterator[None]:
        """Let bars be parts of a stage, which takes `share` of the whole after `start` is done."""
        self._stage = _Stage(start, share, max(1, bars))
        self._progress.update(
            self._main, description=label, total=1.0, completed=start, count=f"{start:.0%}", figures=""
        )
        try:
            yield
        finally:
            self._stage = None


_SCREEN: Screen | None = None


@contextmanager
def screen(label: str) -> Iterator[Screen | None]:
    """Show on a terminal what is going on until the block ends: `label`, then what bars and `doing` say.

    Yields the screen there is, or None where stderr is no terminal or is written as a log.
    """
    global _SCREEN
    if _SCREEN is not None or logs.written() or not sys.stderr.isatty():
        yield _SCREEN
        return
    with Screen(label) as _SCREEN:
        try:
            yield _SCREEN
        finally:
            _SCREEN = None


def doing(what: str) -> None:
    """Say on the screen, where there is one, what is done now."""
    if _SCREEN is not None:
        _SCREEN.label(what)


@contextmanager
def stage(label: str, start: float, share: float, bars: int) -> Iterator[None]:
    """Let all bars of the block be parts of one bar for the whole job, `bars` of them in this stage.

    start, share: of the whole. Where there is no screen, `label` is printed.
    """
    if _SCREEN is None:
        print(label, flush=True)
        yield
        return
    with _SCREEN.stage(label, start, share, bars):
        yield


class ProgressBar:
    """Counts work done against a total that may grow, with a few live figures beside it; writes to stderr."""

    def __init__(self, label: str, *, total: float | None = None, unit: str = "") -> None:
        """unit: what is counted, in the singular, or SECONDS."""
        self._label, self._total, self._unit = label, total, unit
        self._units = plural(unit) if unit not in ("", SECONDS) else unit
        self._done = self._told = 0.0
        self._figures: Mapping[str, str] = {}
        self._start = self._last_line = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._screen: Screen | None = None

    def __enter__(self) -> ProgressBar:
        self._screen = self._stack.enter_context(screen(self._label))
        if self._screen is not None:
            self._bar = self._screen.begin(self._label, self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._screen is not None:
            self._screen.end(self._bar)
        else:
            self._print_line()
        self._stack.close()

    def grow(self, amount: float) -> None:
        """More work became known."""
        self._total = (self._total or 0) + amount
        self._show()

    def advance(self, amount: float = 1.0, figures: Mapping[str, str] | None = None) -> None:
        """Some work is done; `figures` are shown beside the bar."""
        self._done += amount
        if figures is not None:
            self._figures = dict(figures)
        self._show()
        if self._screen is None and time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self._print_line()

    def _show(self) -> None:
        if self._screen is not None:
            self._screen.update(self._bar, self._done, self._total, _shown(self._figures))

    def _print_line(self) -> None:
        now = time.monotonic()
        rate = self._done / max(now - self._start, 1e-9)
        lately = (self._done - self._told) / max(now - self._last_line, 1e-9)
        self._last_line, self._told = now, self._done
        left = (self._total - self._done) / rate if self._total and rate > 0 else None
        if logs.written():
            per_s, seconds = round(rate, 2), None if left is None else round(left)
            known: dict[str, Any] = {"done": self._done, "total": self._total, "unit": self._units or None}
            known |= {"per_s": per_s, "per_s_lately": round(lately, 2), "seconds_left": seconds, **self._figures}
            logs.event("progress", **known)
            return
        share = f"{self._done:,.0f}/{self._total:,.0f}" if self._total else f"{self._done:,.0f}"
        unit = f" {self._unit if (self._total or self._done) == 1 else self._units}" if self._unit else ""
        shown_left = "" if left is None else f", {duration(left)} left"
        line = f"{self._label}: {share}{unit}, {rate:,.1f}/s{shown_left}  {_shown(self._figures)}"
        print(line.rstrip(), file=sys.stderr, flush=True)


@contextmanager
def ticking(label: str) -> Iterator[None]:
    """A bar that counts the seconds of the block, for work without a measure of its own."""
    done = threading.Event()
    with ProgressBar(label, unit=SECONDS) as bar:

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


class _Above(io.TextIOBase):
    """Stream whose lines appear above the live line. Unlike rich's own it tears no line that is longer than the
    terminal is wide."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console, self._stream = console, stream
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Show the lines that are complete with `text`."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)
        return len(text)

    def flush(self) -> None:
        """Show what was written after the last line."""
        if self._begun:
            self.write("\n")


def _shown(figures: Mapping[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in figures.items())


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `5 h 07 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"
