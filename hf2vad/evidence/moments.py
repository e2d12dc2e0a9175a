"""Findings of a run, in words."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from hf2vad.bundle.settings import load_bundle_settings, load_provenance
from hf2vad.evidence.objects import Objects, shown_object
from hf2vad.evidence.reasons import Knowledge, learnt_seconds, reasons
from hf2vad.tables.read import VideoTables, scored_videos, video_tables


@dataclass(frozen=True)
class Moment:
    """One event."""

    video: str
    start_s: float
    end_s: float
    score: float
    words: str
    """Why, and how rare that is; empty for an event without an object."""


@dataclass(frozen=True)
class Moments:
    """The events of a run."""

    count: int
    top: list[Moment]
    """The highest-scoring moments, highest first."""


def moments(prefix: str, bundle: str, most: int) -> Moments:
    """The events below `prefix` (<out>/bundle=<id>), with words for the `most` highest."""
    knowledge = Knowledge(load_bundle_settings(bundle), learnt_seconds(load_provenance(bundle)))
    rows = ((row["peak_score"], number, tables, row) for number, (tables, row) in enumerate(_events(prefix)))
    kept: list[tuple[float, int, VideoTables, dict[str, float]]] = []
    count = 0
    for item in rows:
        count += 1
        if len(kept) < most:
            heapq.heappush(kept, item)
        else:
            heapq.heappushpop(kept, item)
    return Moments(count, [_moment(tables, row, knowledge) for _, _, tables, row in sorted(kept, reverse=True)])


def highest_scores(prefix: str, most: int) -> list[float]:
    """The highest frame score of each video, the highest first, `most` of them."""
    peaks = (_peak(tables) for tables in scored_videos(prefix))
    return heapq.nlargest(most, (peak for peak in peaks if peak is not None))


def _peak(tables: VideoTables) -> float | None:
    values = tables.table("frames")["score"].drop_null().to_numpy()
    return float(values.max()) if len(values) else None


def _events(prefix: str) -> Iterator[tuple[VideoTables, dict[str, float]]]:
    for tables in video_tables(prefix, "events"):
        for row in tables.table("events").to_pylist():
            yield tables, row


def _moment(tables: VideoTables, row: dict[str, float], knowledge: Knowledge) -> Moment:
    frames = (int(row["start_frame"]), int(row["end_frame"]) + 1)
    objects = Objects.read(tables.uri("objects"), [frames])
    shown, words = shown_object(objects, row), ""
    if shown is not None:
        given = reasons(objects.rows(shown["frame"]), shown, knowledge, tables.path)
        words = " ".join(filter(None, [given.sentence, given.rarity]))
    return Moment(tables.video, row["start_s"], row["end_s"], row["peak_score"], words)
