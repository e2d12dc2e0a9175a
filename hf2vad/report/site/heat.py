"""Cameras × time: how much footage, how many events, and how far above the camera's threshold it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from hf2vad.archive.place import Place
from hf2vad.plurals import clock
from hf2vad.schema import F64
from hf2vad.video.times import median_step

LADDER = (1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400)
"""Seconds of a column when paths do not say when a video was taken; each divides the next."""
MOST_COLUMNS = 24
MOST_HOURS = 48
"""Beyond them, a column is an hour of the day, on whatever day."""
UNKNOWN = "time unknown"


@dataclass
class Cell:
    """Events and footage of a camera in one column."""

    events: int = 0
    peak: float = -np.inf
    """Highest frame score."""
    multiple: float = 0.0
    """Highest score as a multiple of its threshold, which may be the camera's own."""
    seconds: float = 0.0
    """Seconds of footage."""
    moment: tuple[str, float] = ("", 0.0)
    """Key of the video with that score, and where it is in it."""

    def add(self, other: Cell) -> None:
        self.events += other.events
        self.seconds += other.seconds
        if not self.moment[0] or (other.multiple, other.peak) > (self.multiple, self.peak):
            self.peak, self.multiple, self.moment = other.peak, other.multiple, other.moment

    def row(self) -> list[Any]:
        """[events, peak, seconds, multiple, video, second of it]; no peak where no frame has a score."""
        peak = round(self.peak, 3) if np.isfinite(self.peak) else None
        return [self.events, peak, round(self.seconds, 1), round(self.multiple, 2), *self.moment]


@dataclass(frozen=True)
class Spread:
    """A video's cells by the hour it was taken, and by the position in it: which one counts is settled by the whole."""

    place: Place
    hours: Mapping[datetime, Cell] = field(default_factory=dict)
    """Empty when the path does not tell."""
    unit: int = LADDER[0]
    """Seconds of a position."""
    positions: Mapping[int, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A video's frames, and its events."""

    key: str
    """Key of the video."""
    seconds: F64
    """(frames,) times."""
    score: F64
    """(frames,) smoothed scores; NaN where a frame has none."""
    threshold: float
    """Where events start."""
    peaks_s: Sequence[float]
    """Times of its events."""


def spread(place: Place, curve: Curve) -> Spread:
    """The cells of one video."""
    lasts = float(curve.seconds[-1]) if len(curve.seconds) else 0.0
    unit = next((unit for unit in LADDER if lasts < unit * MOST_COLUMNS), LADDER[-1])
    positions = _cells(curve, unit, 0.0)
    if place.start is None:
        return Spread(place, {}, unit, positions)
    hour = place.start.replace(minute=0, second=0)
    into = (place.start - hour).total_seconds()
    by_hour = _cells(curve, 3600, into)
    return Spread(place, {hour + timedelta(hours=n): cell for n, cell in by_hour.items()}, unit, positions)


def _cells(curve: Curve, unit: int, shift: float) -> dict[int, Cell]:
    seconds = curve.seconds
    column = ((seconds + shift) // unit).astype(np.int64)
    cells: dict[int, Cell] = defaultdict(Cell)
    step = median_step(seconds)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(column)], strict=True):
        known = np.where(np.isnan(curve.score[start:stop]), -np.inf, curve.score[start:stop])
        highest = int(known.argmax())
        peak = float(known[highest])
        multiple = max(0.0, peak / curve.threshold) if curve.threshold > 0 and np.isfinite(peak) else 0.0
        moment = (curve.key, round(float(seconds[start + highest]), 2))
        cells[int(column[start])].add(Cell(0, peak, multiple, step * float(stop - start), moment))
    for peak_s in curve.peaks_s:
        cells[int((peak_s + shift) // unit)].events += 1
    return dict(cells)


class HeatMap:
    """All videos' cells in one table, once every video is known."""

    def __init__(self, spreads: Iterable[Spread]) -> None:
        spreads = list(spreads)
        hours = {hour for found in spreads for hour in found.hours}
        days = {found.place.day for found in spreads if found.place.day}
        self._kind = "hour" if hours else "day" if len(days) > 1 else "position"
        self._of_day = len(hours) > MOST_HOURS
        self._unit = max((found.unit for found in spreads), default=LADDER[0])
        self._rows: dict[str, dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
        columns: dict[str, Any] = {}
        for found in spreads:
            for key, cell in self._of(found):
                self._rows[found.place.camera][self._label(key)].add(cell)
                columns[self._label(key)] = self._order(key)
        self.columns = sorted(columns, key=lambda label: columns[label])
        self._index = {label: number for number, label in enumerate(self.columns)}

    @property
    def what(self) -> str:
        """Unit of a column."""
        return {"hour": "Hour", "day": "Day", "position": "Time in the video"}[self._kind]

    def column_of(self, place: Place, peak_s: float) -> int:
        """The column of a moment."""
        key: Any = None
        if self._kind == "position":
            key = int(peak_s // self._unit)
        elif self._kind == "day":
            key = place.day
        elif place.start is not None:
            key = (place.start + timedelta(seconds=peak_s)).replace(minute=0, second=0, microsecond=0)
        return self._index.get(self._label(key), -1)

    def rows(self) -> list[dict[str, Any]]:
        """For each camera, the busiest first, its cells as `Cell.row` has them; null without footage."""
        return [
            {"camera": camera, "cells": [cells[label].row() if label in cells else None for label in self.columns]}
            for camera, cells in sorted(self._rows.items(), key=lambda item: (-_events(item[1]), item[0]))
        ]

    def cameras(self) -> list[str]:
        """Their names, in order."""
        return sorted(self._rows)

    def _of(self, found: Spread) -> Iterable[tuple[Any, Cell]]:
        if self._kind == "position":
            return ((position * found.unit // self._unit, cell) for position, cell in found.positions.items())
        if self._kind == "hour" and found.hours:
            return found.hours.items()
        key = found.place.day if self._kind == "day" else None
        return ((key, cell) for cell in found.positions.values())

    def _order(self, key: Any) -> Any:
        if self._kind == "hour":
            ordered = 0 if key is None else key.hour if self._of_day else key.timestamp()
        elif self._kind == "day":
            ordered = 0 if key is None else key.toordinal()
        else:
            ordered = key
        return (key is None, ordered)

    def _label(self, key: Any) -> str:
        if key is None:
            return UNKNOWN
        if isinstance(key, datetime):
            return f"{key:%H}:00" if self._of_day else f"{key:%Y-%m-%d %H}:00"
        if isinstance(key, date):
            return key.isoformat()
        return clock(key * self._unit)


def _events(cells: Mapping[str, Cell]) -> int:
    return sum(cell.events for cell in cells.values())
