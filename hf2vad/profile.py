"""Time spent in each stage: totals are always counted, and single spans are kept for a trace on request.

Example:
    with recording("network", label="clip.mp4 0-200", keep=SPANS_PER_SHARD) as recorded:
        with span("flow"):
            ...
    profile = Profile()
    profile.add(recorded.report())

A recording belongs to one piece of work. Threads that the work starts by `threads.prefetch` record into it too, each in
a lane of its own: a row of the trace. Outside a recording a span does nothing.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

SPANS_PER_SHARD = 3000
"""Spans of a shard that a trace keeps, the first ones to end: those of about 250 frames."""

SHARDS_KEPT = 64
"""Shards that a trace keeps, the first to be done. The seconds are those of all."""

OTHER = "other"
"""Time of the recording thread outside its spans."""


@dataclass(frozen=True)
class Span:
    """Something that one thread did, without a break."""

    lane: str
    stage: str
    start: float
    """Seconds after its recording began."""
    seconds: float
    """Duration including the spans inside it, in seconds."""


@dataclass(frozen=True)
class Report:
    """Content of one recording. Travels from the worker to the driver."""

    worker: str
    """Host and process."""
    label: str
    began: float
    """Seconds since 1970, by the worker's clock."""
    stages: dict[tuple[str, str], tuple[float, int]]
    """Seconds, without those of inner spans, and number of spans, by lane and stage."""
    spans: list[Span]
    """Empty unless they were to be kept. The one of stage `other` is the whole."""


class _Lane:
    """Spans of one thread. Only that thread writes to it."""

    def __init__(self, name: str, recording: Recording) -> None:
        self.name, self.recording = name, recording
        self.stages: dict[str, tuple[float, int]] = {}
        self.open: _Open | None = None


_LANE: ContextVar[_Lane | None] = ContextVar("lane", default=None)


class _Open:
    """A span that is going on."""

    __slots__ = ("_inside", "_lane", "_outer", "_stage", "_start")

    def __init__(self, lane: _Lane, stage: str) -> None:
        self._lane, self._stage, self._inside = lane, stage, 0.0

    def __enter__(self) -> None:
        self._outer, self._lane.open = self._lane.open, self
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = time.perf_counter() - self._start
        lane = self._lane
        lane.open = self._outer
        if self._outer is not None:
            self._outer._inside += took
        seconds, count = lane.stages.get(self._stage, (0.0, 0))
        lane.stages[self._stage] = seconds + took - self._inside, count + 1
        if lane.recording.keep:
            lane.recording.note(lane.name, self._stage, self._start, took)


_NOTHING = contextlib.nullcontext()


def span(stage: str) -> contextlib.AbstractContextManager[None]:
    """Count what the block takes as `stage`. It must not yield: it ends in the thread that it began in."""
    lane = _LANE.get()
    return _NOTHING if lane is None else _Open(lane, stage)


def spans(stage: str, items: Iterable[T]) -> Iterator[T]:
    """`items`, and what it takes to make each counts as `stage`."""
    iterator = iter(items)
    while True:
        with span(stage):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def enter_lane(name: str) -> None:
    """Give this thread a lane of its own in the recording that its context was copied from, if there is one."""
    if (lane := _LANE.get()) is not None:
        _LANE.set(lane.recording.lane(name))


class Recording:
    """Times of a piece of work and its threads."""

    def __init__(self, label: str, keep: int) -> None:
        self._label, self.keep = label, keep
        self._lanes: list[_Lane] = []
        self._spans: list[Span] = []
        self._began, self._clock = time.time(), time.perf_counter()

    def lane(self, name: str) -> _Lane:
        """A new lane."""
        lane = _Lane(name, self)
        self._lanes.append(lane)
        return lane

    def note(self, lane: str, stage: str, start: float, seconds: float) -> None:
        """Keep a span, if it is one of the first or the whole."""
        if len(self._spans) < self.keep or stage == OTHER:
            self._spans.append(Span(lane, stage, start - self._clock, seconds))

    def report(self) -> Report:
        """Everything that was recorded, once the work and its threads have ended. Lanes are in pipeline order: a thread
        starts the threads that feed it."""
        stages: dict[tuple[str, str], tuple[float, int]] = {}
        for lane in reversed(self._lanes):
            for stage, figures in lane.stages.items():
                stages[lane.name, stage] = _sum(stages.get((lane.name, stage)), figures)
        return Report(f"{socket.gethostname()} {os.getpid()}", self._label, self._began, stages, self._spans)


@contextlib.contextmanager
def recording(lane: str, *, label: str, keep: int = 0) -> Iterator[Recording]:
    """Record the block, its thread in `lane`; `keep` spans of it, and the whole."""
    recorded = Recording(label, keep)
    own = recorded.lane(lane)
    token = _LANE.set(own)
    try:
        with _Open(own, OTHER):
            yield recorded
    finally:
        _LANE.reset(token)


@dataclass
class Profile:
    """The reports of many pieces of work. Bounded: spans are kept of the first `SHARDS_KEPT`."""

    stages: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    """Seconds and number of spans by lane and stage, over all reports."""
    kept: list[Report] = field(default_factory=list)
    """Reports with spans."""

    def add(self, report: Report) -> None:
        """Add one report."""
        for name, figures in report.stages.items():
            self.stages[name] = _sum(self.stages.get(name), figures)
        if report.spans and len(self.kept) < SHARDS_KEPT:
            self.kept.append(report)

    def rows(self) -> list[dict[str, Any]]:
        """Rows with `thread`, `stage`, `seconds`, `spans` for each lane and stage, the longest of a thread first."""
        lanes = list(dict.fromkeys(lane for lane, _ in self.stages))
        order = sorted(self.stages.items(), key=lambda item: (lanes.index(item[0][0]), -item[1][0]))
        return [
            {"thread": lane, "stage": stage, "seconds": round(seconds, 3), "spans": count}
            for (lane, stage), (seconds, count) in order
        ]

    def trace(self) -> bytes:
        """The kept spans in Chrome's trace format, as gzipped JSON: a process a worker, a thread a lane.

        Times are microseconds after the first kept recording began, by the workers' clocks.
        """
        began = min((report.began for report in self.kept), default=0.0)
        rows: dict[str, dict[str, int]] = {}
        events: list[dict[str, Any]] = []
        for report in self.kept:
            lanes = rows.setdefault(report.worker, {})
            for lane, _ in report.stages:
                lanes.setdefault(lane, len(lanes) + 1)
            process = list(rows).index(report.worker) + 1
            for item in report.spans:
                name = report.label if item.stage == OTHER else item.stage
                start = 1e6 * (report.began - began + item.start)
                event = {"name": name, "cat": item.stage, "ph": "X", "pid": process, "tid": lanes[item.lane]}
                events.append({**event, "ts": round(start, 1), "dur": round(1e6 * item.seconds, 1)})
        for process, (worker, lanes) in enumerate(rows.items(), 1):
            events.append(_named("process_name", process, 0, f"worker {worker}"))
            events.extend(_named("thread_name", process, thread, lane) for lane, thread in lanes.items())
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":"))
        return gzip.compress(text.encode(), mtime=0)


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}


def _sum(known: tuple[float, int] | None, more: tuple[float, int]) -> tuple[float, int]:
    return more if known is None else (known[0] + more[0], known[1] + more[1])
