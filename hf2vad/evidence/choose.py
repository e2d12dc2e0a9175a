"""Selection of the events of a run to show, and their names."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hf2vad.archive.archive_refs import split_id
from hf2vad.archive.catalog import EVERYTHING
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import NotFoundError
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.tables.read import VideoTables, video_tables
from hf2vad.threads import in_threads

THREADS = 8
"""Tables that are read at once."""


@dataclass(frozen=True)
class Chosen:
    """An event that is to be shown."""

    row: Mapping[str, Any]
    """Row of the table `events`."""
    metadata: Mapping[str, Any]
    """Metadata of the events table: bundle, fingerprint, size and range of the video."""
    tables: VideoTables
    """The tables of its video."""

    @property
    def key(self) -> str:
        return event_key(self.row["video"], self.row["start_frame"])


def event_key(video: str, start_frame: int) -> str:
    """Name of an event's folder: 16 hex digits."""
    text = f"{video}:{start_frame}".encode(errors="surrogateescape")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()[:16]


def choose_events(
    prefix: str, config: EvidenceConfig, scope: PathFilter = EVERYTHING, archives: Collection[str] = ()
) -> list[Chosen]:
    """The events of a bundle=<id> folder that `config` asks for, by falling peak score.

    `archives`: names that ids of videos may begin with; `scope` is of paths in them. Besides those that it returns, it
    holds the events of the tables that are being read. Empty without scores.
    """
    found = _events(prefix, scope, archives)
    if config.above is None:
        return heapq.nlargest(config.events, found, key=_peak)
    return sorted((chosen for chosen in found if _peak(chosen) >= config.above), key=_peak, reverse=True)


def _peak(chosen: Chosen) -> float:
    return float(chosen.row["peak_score"])


def _events(prefix: str, scope: PathFilter, archives: Collection[str]) -> Iterator[Chosen]:
    for events in in_threads(_read, _tables(prefix, scope, archives), THREADS):
        yield from (chosen for chosen in events if scope.holds(split_id(chosen.row["video"], archives)[1]))


def _tables(prefix: str, scope: PathFilter, archives: Collection[str]) -> Iterator[VideoTables]:
    with contextlib.suppress(NotFoundError):
        yield from video_tables(prefix, "events", scope, archives)


def _read(tables: VideoTables) -> list[Chosen]:
    events, metadata = tables.described("events")
    return [Chosen(row, metadata, tables) for row in events.to_pylist()]
