"""The tables of one camera's day, joined: one file a table, and an index that says which files are current.

Below the bundle's prefix:

    compact/<table>/camera=<c>/date=<d>/<hash>.parquet   the joined rows, named by their content and never changed
    compact/index/camera=<c>/date=<d>.json               which of them are current, all tables at once

A reader takes the files that an index names. An index is replaced by one atomic put, after the files that it names are
there, and files that it names no more stay for `GRACE_S`: whoever has read it reads whole tables, with each row once.
The tables of single videos stay as they are; they are what runs go by.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf2vad.errors import NotFoundError, SchemaError
from hf2vad.hashes import hash_of
from hf2vad.schema import FEATURE_COLUMNS, TABLES, pack_metadata, unpack_metadata
from hf2vad.storage import (
    delete,
    find_file,
    join,
    list_dir,
    partition,
    put_by_content,
    put_json,
    read_batches,
    read_json,
)

JOINED = ("frames", "objects", "events", "health")
ROWS = 2**17
"""Rows of a row group: some megabytes, and what joining holds in memory."""
GRACE_S = 24 * 3600.0
"""Seconds that a file remains after no index names it. Longer than any reader takes."""


@dataclass(frozen=True)
class Piece:
    """The tables of one video."""

    key: str
    """Path below each table's folder."""
    version: str
    """Version of the frame table, which is written last. A new version means that the tables were made anew."""


@dataclass(frozen=True)
class CameraDay:
    """Tables of one camera and day, joined into one file per table."""

    prefix: str
    """<out>/bundle=<id>"""
    camera: str
    date: str
    """2026-11-24; where a pattern says no more, 2026-11 or 2026."""
    pieces: tuple[Piece, ...]
    """Pieces in the order of the rows."""

    @property
    def index(self) -> str:
        """Index of the current files."""
        return join(self.prefix, "compact", "index", partition("camera", self.camera), f"date={self.date}.json")

    def folder(self, table: str) -> str:
        """The files of `table`, below the prefix."""
        return join("compact", table, partition("camera", self.camera), partition("date", self.date))

    @property
    def sources(self) -> str:
        """Hash of what the files are made of."""
        return hash_of(*([piece.key, piece.version] for piece in self.pieces))


def compact(day: CameraDay, *, grace_s: float = GRACE_S) -> dict[str, int]:
    """Join the tables of `day` unless that is done; returns counts: days, files and rows that were `joined_…`.

    Tables that are made anew in the meantime are left for the next time (`days_changing`). Nothing else may compact the
    same prefix.
    """
    known = _known(day)
    if known.get("sources") == day.sources:
        _tidy(day, known, grace_s)
        return {"joined_days": 0}
    try:
        made = {table: _join_table(day, table) for table in JOINED}
    except NotFoundError:
        return {"days_changing": 1}
    if any((found := find_file(_uri(day, "frames", p))) is None or found.version != p.version for p in day.pieces):
        return {"days_changing": 1}
    files = {table: path for table, (path, _) in made.items()}
    now = time.time()
    replaced = [{"file": known[table], "at": now} for table in JOINED if table in known]
    index = {
        "camera": day.camera,
        "date": day.date,
        "videos": len(day.pieces),
        **files,
        "rows": {table: rows for table, (_, rows) in made.items()},
        "sources": day.sources,
        "replaced": [one for one in [*known.get("replaced", ()), *replaced] if one["file"] not in files.values()],
    }
    put_json(day.index, index)
    _tidy(day, index, grace_s)
    _remove_strays(day, index, now - grace_s)
    return {"joined_days": 1, "joined_videos": len(day.pieces), "joined_rows": sum(rows for _, rows in made.values())}


def _known(day: CameraDay) -> dict[str, Any]:
    try:
        return read_json(day.index)
    except NotFoundError:
        return {}


def _uri(day: CameraDay, table: str, piece: Piece) -> str:
    return join(day.prefix, table, piece.key)


def _join_table(day: CameraDay, table: str) -> tuple[str, int]:
    """Put the joined rows of `table`; returns the file's path below the prefix, and how many rows there are."""
    values = {"camera": day.camera, "date": day.date, "videos": len(day.pieces)}
    schema = TABLES[table].with_metadata(pack_metadata(table, values))
    rows = 0

    def write(file: IO[bytes]) -> None:
        nonlocal rows
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _row_groups(table, [_uri(day, table, piece) for piece in day.pieces]):
                writer.write_table(group, row_group_size=ROWS)
                rows += len(group)

    uri = put_by_content(join(day.prefix, day.folder(table)), ".parquet", write)
    return join(day.folder(table), uri.rsplit("/", 1)[-1]), rows


def _row_groups(table: str, uris: Sequence[str]) -> Iterator[pa.Table]:
    """All rows of `uris`, `ROWS` at a time whatever the files' own row groups are."""
    held = TABLES[table].empty_table()
    for uri in uris:
        for batch in read_batches(uri, ROWS):
            _check(batch.schema, table, uri)
            part = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            held = pa.concat_tables([held, part], promote_options="default").cast(TABLES[table])
            while len(held) >= ROWS:
                yield held.slice(0, ROWS).combine_chunks()
                held = held.slice(ROWS)
    if len(held):
        yield held.combine_chunks()


def _check(found: pa.Schema, table: str, uri: str) -> None:
    """Raise SchemaError for columns that `table` does not have, or has otherwise; a feature's may be missing or not
    required."""
    unpack_metadata(found, table, uri)
    there = {item.name: item.type for item in found}
    known = {item.name: item.type for item in TABLES[table]}
    missing = known.keys() - there.keys() - set(FEATURE_COLUMNS.values())
    if missing or any(known.get(name) != kind for name, kind in there.items()):
        raise SchemaError(f"{uri}: its columns are those of another release; remove it and its mark, and score again")


def _tidy(day: CameraDay, index: dict[str, Any], grace_s: float) -> None:
    """Remove files that were replaced more than `grace_s` ago, and forget them."""
    old = [one for one in index["replaced"] if one["at"] + grace_s <= time.time()]
    if old:
        for one in old:
            delete(join(day.prefix, one["file"]))
        put_json(day.index, {**index, "replaced": [one for one in index["replaced"] if one not in old]})


def _remove_strays(day: CameraDay, index: dict[str, Any], before: float) -> None:
    """Remove files from before the time `before` that no index ever named, whole or not: killed runs leave them."""
    named = {index[table] for table in JOINED} | {one["file"] for one in index["replaced"]}
    for table in JOINED:
        for entry in list(list_dir(join(day.prefix, day.folder(table)))):
            known = join(day.folder(table), entry.name) in named
            if not known and not entry.is_dir and entry.modified <= before:
                delete(entry.uri)
