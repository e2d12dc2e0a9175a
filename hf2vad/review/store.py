"""Marks in storage: one small Parquet file a batch, joined now and then; safe for any number of servers at once.

A file appears whole by one atomic put and never changes. Joining puts the marks of many files into one, and only then
removes these. So a mark that was put is in at least one file at any moment, whoever is killed when; it may be in two,
which changes nothing.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from hf2vad.errors import ConfigError, NotFoundError
from hf2vad.review.marks import Mark, from_table, latest, parse_file, to_table
from hf2vad.schema import pack_metadata, unpack_metadata
from hf2vad.storage import delete, find_file, join, list_dir, put_table, read_bytes, read_table

FOLDER = "reviews"
"""Where a site's marks are, below its folder."""
JOINED = 64
"""Files from which on they are joined."""
ENDING = ".parquet"


class MarkStore:
    """The marks below a URI; may be used by several threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._read: dict[str, list[Mark]] = {}
        """Marks of each file, which never changes, by its name."""
        self._lock = threading.Lock()

    def add(self, marks: Sequence[Mark]) -> None:
        """Put some marks. They are there for everyone when this returns. Raises StorageError, and then none is."""
        if marks:
            self._put(marks)

    def version(self) -> str:
        """Changes when the marks do: the names of the files."""
        return ",".join(self._names())

    def marks(self) -> dict[str, Mark]:
        """The mark of each event that counts, those that were taken back included, by the event's key."""
        with self._lock:
            while True:
                names = self._names()
                try:
                    for name in names:
                        if name not in self._read:
                            self._read[name] = self._of_file(name)
                except NotFoundError:  # joined into a file that this listing did not have
                    continue
                self._read = {name: self._read[name] for name in names}
                return latest(mark for name in names for mark in self._read[name])

    def join_files(self, at_least: int = JOINED) -> int:
        """Join the files where there are `at_least` so many; returns how many became one."""
        names = self._names()
        if len(names) < max(2, at_least):
            return 0
        read: dict[str, list[Mark]] = {}
        for name in names:
            try:
                read[name] = self._of_file(name)
            except NotFoundError:  # another server joins too
                continue
        by_id = {mark.mark: mark for marks in read.values() for mark in marks}
        self._put(sorted(by_id.values(), key=lambda mark: (mark.marked_at, mark.mark)))
        for name in read:
            delete(join(self.uri, name))
        return len(read)

    def _put(self, marks: Sequence[Mark]) -> None:
        table = to_table(marks)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}{ENDING}"
        put_table(join(self.uri, name), table.replace_schema_metadata(pack_metadata("reviews", {})))

    def _names(self) -> list[str]:
        """Names of the files, once two listings agree: one alone may miss both the files that are joined while it is
        made and the one that they become."""
        names = self._listed()
        while (again := self._listed()) != names:
            names = again
        return names

    def _listed(self) -> list[str]:
        try:
            return [entry.name for entry in list_dir(self.uri) if not entry.is_dir and entry.name.endswith(ENDING)]
        except NotFoundError:
            return []

    def _of_file(self, name: str) -> list[Mark]:
        where = join(self.uri, name)
        table = read_table(where)
        unpack_metadata(table.schema, "reviews", where)
        return from_table(table)


def read_reviews(uris: Sequence[str]) -> list[Mark]:
    """The marks at some places that count and were not taken back, by video and frame.

    Each is a file that a site has saved, a folder of marks, or a site with one. Raises ConfigError for anything else.
    """
    marks: list[Mark] = []
    for uri in uris:
        if find_file(uri) is not None and not uri.endswith(ENDING):
            marks += parse_file(read_bytes(uri), where=uri)
            continue
        stored = [mark for place in (uri, join(uri, FOLDER)) for mark in MarkStore(place).marks().values()]
        if not stored:
            raise ConfigError(f"{uri}: no marks there; give a review site, its {FOLDER} folder, or a file it has saved")
        marks += stored
    counted = [mark for mark in latest(marks).values() if mark.verdict]
    return sorted(counted, key=lambda mark: (mark.video, mark.start_frame))
