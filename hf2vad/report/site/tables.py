"""The score tables of the videos that a site shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hf2vad.archive.scope import Scope
from hf2vad.archive.sources import split_id
from hf2vad.errors import EvaluationError, NotFoundError
from hf2vad.schema import TABLES, unpack_metadata
from hf2vad.storage import join, list_files, read_json, read_table, readable
from hf2vad.tables.keys import TableTree


@dataclass(frozen=True)
class Scored:
    """The tables of one video."""

    video: str
    metadata: dict[str, Any]
    """What its frame table says of itself."""
    frames: pa.Table
    events: pa.Table
    health: pa.Table


def frame_keys(prefix: str, scope: Scope, archives: Collection[str]) -> Iterator[str]:
    """The key of each frame table that can be of `scope`, sorted. Raises EvaluationError where there is none at all."""
    try:
        yield from TableTree(prefix, "frames", archives).keys(scope)
    except NotFoundError:
        raise EvaluationError(f"{prefix}: no frame table there; jobs/score_archive.py makes them") from None


def read_scored(prefix: str, key: str) -> Scored:
    """The tables of the video with that key. A video scored by a release without a table of health has an empty one."""
    where = join(prefix, "frames", key)
    frames = read_table(where)
    metadata = unpack_metadata(frames.schema, "frames", where)
    try:
        health = read_table(join(prefix, "health", key))
    except NotFoundError:
        health = TABLES["health"].empty_table()
    return Scored(str(metadata["video"]), metadata, frames, read_table(join(prefix, "events", key)), health)


def read_events(prefix: str, key: str) -> tuple[list[dict[str, Any]], str]:
    """The events of the video with that key, and the fingerprint of what was scored."""
    where = join(prefix, "events", key)
    table = read_table(where)
    return table.to_pylist(), str(unpack_metadata(table.schema, "events", where).get("fingerprint", ""))


def failures(prefix: str, scope: Scope, archives: Collection[str]) -> Iterator[dict[str, str]]:
    """Video and reason of each failure row of `scope`."""
    try:
        for entry in list_files(join(prefix, "failures"), ".json"):
            row = read_json(entry.uri)
            video = str(row.get("video", entry.name))
            if scope.holds(split_id(video, archives)[1]):
                yield {"video": readable(video), "reason": readable(str(row.get("reason", "")))}
    except NotFoundError:
        return
