"""Joining the tables of every camera's day, on the cluster."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.partitions import Partitions
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import Days
from hf2vad.cluster.calls import run_calls
from hf2vad.cluster.dispatch import Call, Cluster
from hf2vad.storage import join
from hf2vad.tables.compact import CameraDay, Piece, compact
from hf2vad.tables.keys import TableTree


def compact_all(
    prefix: str, sections: Partitions, cluster: Cluster, stop: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Join what is new in `sections` of the scores at `prefix`; returns sums of what `compact` counts.

    A day that cannot be joined is named on stderr and counted as `days_not_joined`; the next run tries it again.
    `stop`: asked before anything is started.
    """
    sums: dict[str, int] = {"joined_days": 0}
    days = camera_days(prefix, sections)

    def next_day() -> Call | None:
        day = None if stop() else next(days, None)
        return None if day is None else Call(compact, (day,), day)

    for outcome in run_calls(next_day, cluster):
        if outcome.failure is not None:
            day: CameraDay = outcome.call.tag
            print(f"not joined: {day.camera!r} {day.date}: {outcome.failure}", file=sys.stderr)
        for name, value in (outcome.value or {"days_not_joined": 1}).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def camera_days(prefix: str, sections: Partitions) -> Iterator[CameraDay]:
    """The cameras' days that have frame tables in `sections`, day by day.

    One day's tables are held at a time, and all whose keys were shortened as a whole, as only they say their day.
    """
    tree = TableTree(prefix, "frames", [source.name for source in sections.sources])
    for source in sections.sources:
        for days in sorted(tree.days(sections.scope, source)):
            yield from _cameras_of(prefix, tree, source, sections.scope.on(days), days)


def _cameras_of(prefix: str, tree: TableTree, source: ArchiveRef, scope: PathFilter, days: Days) -> Iterator[CameraDay]:
    cameras: dict[str, list[Piece]] = defaultdict(list)
    for path, entry in tree.tables(scope, source):
        camera = "/".join(filter(None, (source.name, scope.paths.camera_of(path)))) or "all"
        cameras[camera].append(Piece(entry.uri.removeprefix(join(prefix, "frames") + "/"), entry.version))
    for camera, pieces in sorted(cameras.items()):
        yield CameraDay(prefix, camera, _named(*days), tuple(pieces))


def _named(first: date, last: date) -> str:
    """2026-11-24, or the month or year that the days are."""
    if first == last:
        return first.isoformat()
    return f"{first:%Y-%m}" if first.month == last.month else f"{first:%Y}"
