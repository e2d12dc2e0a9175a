"""Joining the tables of every camera's day, on the cluster."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from urllib.parse import unquote

from hf2vad.archive.scope import Days, Scope
from hf2vad.archive.sections import Sections, Source, days_below
from hf2vad.cluster.dispatch import Call, Cluster
from hf2vad.errors import NotFoundError
from hf2vad.storage import Entry, join, key_path, list_dir
from hf2vad.tables.compact import CameraDay, Piece, compact

SUFFIX = ".parquet"


def compact_all(
    prefix: str, sections: Sections, cluster: Cluster, stop: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Join what is new in `sections` of the scores at `prefix`; returns sums of what `compact` counts.

    A day that cannot be joined is named on stderr and counted as `days_not_joined`; the next run tries it again.
    `stop`: asked before anything is started.
    """
    sums: dict[str, int] = {"joined_days": 0}
    days = camera_days(prefix, sections)
    while True:
        while cluster.running < cluster.in_flight and not stop():
            day = next(days, None)
            if day is None:
                break
            cluster.submit(Call(compact, (day,), (day.camera, day.date)))
        if not cluster.running:
            return sums
        outcome = cluster.wait()
        if outcome.failure is not None:
            camera, day_of = outcome.call.tag
            print(f"not joined: {camera!r} {day_of}: {outcome.failure}", file=sys.stderr)
        for name, value in (outcome.value or {"days_not_joined": 1}).items():
            sums[name] = sums.get(name, 0) + value


def camera_days(prefix: str, sections: Sections) -> Iterator[CameraDay]:
    """The cameras' days that have frame tables in `sections`, day by day; one day's tables are held at a time."""
    for source in sections.sources:
        folder = join(prefix, "frames", key_path(source.name)) if source.name else join(prefix, "frames")
        try:
            days = sorted(days_below(folder, sections.scope, _path_of))
        except NotFoundError:
            continue
        for some in days:
            yield from _cameras_of(prefix, folder, source, sections.scope.on(some), some)


def _cameras_of(prefix: str, folder: str, source: Source, scope: Scope, days: Days) -> Iterator[CameraDay]:
    cameras: dict[str, list[Piece]] = defaultdict(list)
    for path, entry in _tables(folder, "", scope):
        name = scope.camera_of(path)
        camera = "/".join(part for part in (source.name, name) if part) or "all"
        cameras[camera].append(Piece(entry.uri.removeprefix(join(prefix, "frames") + "/"), entry.version))
    for camera, pieces in sorted(cameras.items()):
        yield CameraDay(prefix, camera, _named(*days), tuple(pieces))


def _tables(uri: str, above: str, scope: Scope) -> Iterator[tuple[str, Entry]]:
    """The frame tables below `uri` that are in `scope`, each with its video's path."""
    try:
        for entry in list_dir(uri):
            path = above + _path_of(entry)
            if entry.is_dir:
                if scope.enters(path):
                    yield from _tables(entry.uri, f"{path}/", scope)
            elif entry.name.endswith(SUFFIX) and scope.holds(path):
                yield path, entry
    except NotFoundError:
        return


def _path_of(entry: Entry) -> str:
    name = entry.name if entry.is_dir else entry.name.removesuffix(SUFFIX)
    return unquote(name, errors="surrogateescape")


def _named(first: date, last: date) -> str:
    """2026-11-24, or the month or year that the days are."""
    if first == last:
        return first.isoformat()
    return f"{first:%Y-%m}" if first.month == last.month else f"{first:%Y}"
