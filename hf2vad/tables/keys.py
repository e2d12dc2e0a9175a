"""The tables below a bundle=<id> folder, by the videos that they are of.

A key says the id of its video, but for parts that were shortened. What a shortened folder stands for is read from the
metadata of a table below it, and what a shortened table stands for from its own. A key that was shortened as a whole
lies in a folder `~<hash>`, which says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

from hf2vad.archive.archive_refs import ArchiveRef, split_id
from hf2vad.archive.partitions import days_below
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import Days
from hf2vad.errors import NotFoundError, SchemaError
from hf2vad.schema import unpack_metadata
from hf2vad.storage import Entry, join, key_path, list_dir, list_files, open_parquet
from hf2vad.storage.names import part_of_key
from hf2vad.tables.layout import ENDING
from hf2vad.threads import in_threads

HASHED = "~"
"""Prefix of a folder whose whole key was shortened to a hash."""
READERS = 8
"""Tables whose metadata is read at once."""


class TableTree:
    """The tables of one kind, such as `frames`, of all videos."""

    def __init__(self, prefix: str, table: str, archives: Collection[str] = ()) -> None:
        """`archives`: names that ids may begin with."""
        self._folder, self._table, self._archives = join(prefix, table), table, archives
        self._below: dict[str, str | None] = {}
        """Id of a video below each shortened folder, by the folder's URI."""

    def keys(self, scope: PathFilter) -> Iterator[str]:
        """Keys of the tables that can be in `scope`, in the order of listings; folders outside it are not listed.

        Whether a video is in `scope` only its id says, which keys do not always. Raises NotFoundError where there is no
        folder of the table.
        """
        for entry in list_dir(self._folder):
            yield from self._keys(entry, "", "", scope)

    def days(self, scope: PathFilter, source: ArchiveRef) -> set[Days]:
        """The days of the videos in `scope` of one archive. Nothing deeper than the days is listed."""
        days = days_below(self._top(source), scope, lambda uri, path: self._entries(uri, path, source))
        return days | {day for path, _ in self._hashed_of(scope, source) if (day := scope.days_of(path))}

    def tables(self, scope: PathFilter, source: ArchiveRef) -> Iterator[tuple[str, Entry]]:
        """The tables in `scope` of one archive, each with its video's path there, in the order of listings; those whose
        keys were shortened as a whole come last."""
        yield from self._tables(self._top(source), "", scope, source)
        yield from self._hashed_of(scope, source)

    def _keys(self, entry: Entry, key: str, above: str, scope: PathFilter) -> Iterator[str]:
        """Keys at or below an entry of the folder `key`, in which ids begin with `above`."""
        if not entry.is_dir:
            if entry.name.endswith(ENDING):
                yield key + entry.name
        elif entry.name.startswith(HASHED):
            yield from (f"{entry.name}/{table.name}" for table in _listed(entry.uri))
        else:
            identity = f"{self._id(entry, above)}/"
            inside = split_id(identity, self._archives)[1]
            if not inside or scope.enters(inside):
                for below in _listed(entry.uri):
                    yield from self._keys(below, f"{key}{entry.name}/", identity, scope)

    def _tables(self, uri: str, path: str, scope: PathFilter, source: ArchiveRef) -> Iterator[tuple[str, Entry]]:
        for below, entry in self._entries(uri, path, source):
            if not entry.is_dir:
                if scope.holds(below):
                    yield below, entry
            elif scope.enters(below):
                yield from self._tables(entry.uri, f"{below}/", scope, source)

    def _entries(self, uri: str, path: str, source: ArchiveRef) -> Iterator[tuple[str, Entry]]:
        """The tables and folders directly below `uri`, each with its path in the archive."""
        for entry in _listed(uri):
            if not entry.name.startswith(HASHED):
                yield self._id(entry, source.below + path).removeprefix(source.below), entry

    def _top(self, source: ArchiveRef) -> str:
        return join(self._folder, key_path(source.name)) if source.name else self._folder

    @cached_property
    def _hashed(self) -> list[tuple[str, Entry]]:
        """Id and table of each key that was shortened as a whole."""
        folders = (entry for entry in _listed(self._folder) if entry.name.startswith(HASHED))
        tables = (table for folder in folders for table in _listed(folder.uri))
        read = in_threads(lambda table: (self._video(table), table), tables, READERS)
        return [(video, table) for video, table in read if video is not None]

    def _hashed_of(self, scope: PathFilter, source: ArchiveRef) -> Iterator[tuple[str, Entry]]:
        for video, table in self._hashed:
            name, path = split_id(video, self._archives)
            if name == source.name and scope.holds(path):
                yield path, table

    def _id(self, entry: Entry, above: str) -> str:
        """The id of a table's video, or what ids begin with in a folder; where no table can be read, what the key
        says."""
        name = entry.name.removesuffix("" if entry.is_dir else ENDING)
        part = part_of_key(name)
        if part is None:
            video = self._video_below(entry)
            part = name if video is None else video.split("/")[above.count("/")]
        return above + part

    def _video_below(self, entry: Entry) -> str | None:
        """Id of a video whose table is `entry`, or below it; None where there is none that can be read."""
        if entry.uri in self._below:
            return self._below[entry.uri]
        try:
            video = next(map(self._video, list_files(entry.uri, ENDING)), None)
        except SchemaError:  # whoever needs more of the table says so
            video = None
        if entry.is_dir:  # those are few
            self._below[entry.uri] = video
        return video

    def _video(self, table: Entry) -> str | None:
        """The id in the metadata of a table; None where it is gone by now."""
        try:
            return str(unpack_metadata(open_parquet(table.uri).schema_arrow, self._table, table.uri)["video"])
        except NotFoundError:
            return None


def _listed(uri: str) -> Iterator[Entry]:
    """The tables and folders directly below `uri`; none where it is gone by now."""
    try:
        yield from (entry for entry in list_dir(uri) if entry.is_dir or entry.name.endswith(ENDING))
    except NotFoundError:
        return
