"""Names that carry state: what is done is told by listings, and no file is opened to know it.

A shard's file is `<start>-<stop>-<state>.parquet` (tables/layout.py). A finished video's mark is an empty file
`<video>.<state>` (of a folder of images: `<video>/~<state>`), with `.failed` after it where the video has a failure row
all the same. A state is a hash of what decides the content.

The marks are read beside the archive's catalogue, as two sorted streams, so that no list of either is held. Both have
one order where names are of letters, digits and `._/`, and nearly one elsewhere, because keys encode odd characters: a
mark that comes early waits, and so do stale ones, up to `WAITING` in all. A mark that is missed costs one call, which
looks at the video's own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from hf2vad.archive.catalog import EVERYTHING, Video
from hf2vad.archive.partitions import Partition, Partitions
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import NotFoundError
from hf2vad.storage import Entry, delete, id_of_key, join, key_path, list_dir, list_files, put_bytes
from hf2vad.storage.ahead import with_listings

WAITING = 20_000
"""Marks that wait for their video, at most; about 5 MB."""

FAILED = ".failed"


@dataclass(frozen=True)
class Marks:
    """The marks of finished videos below a folder."""

    folder: str

    def put(self, video: Video, state: str, *, failed: bool) -> None:
        """Mark `video` as finished; `failed`: with a failure row."""
        put_bytes(join(self.folder, _mark(video, state) + (FAILED if failed else "")), b"")

    def remove(self, video: Video, state: str) -> None:
        """Take back that `video` is finished in `state`, if it was."""
        for suffix in ("", FAILED):
            delete(join(self.folder, _mark(video, state) + suffix))

    def read(self, scope: PathFilter = EVERYTHING, below: str = "") -> MarkIndex:
        """Index of the marks of earlier runs within `scope`, queried in catalogue order.

        `below`: the archive's name and a slash, where its videos' ids begin so.
        """
        folder = join(self.folder, below) if below else self.folder
        names = self._names(folder) if scope == EVERYTHING else self._scoped(list_dir(folder), "", scope)
        return MarkIndex(below + name for name in names)

    def read_folders(self, folders: Iterable[str], scope: PathFilter, below: str = "") -> MarkIndex:
        """Read the marks of some folders of the archive only, each a path in it. Lists no folder above them."""
        top = join(self.folder, below) if below else self.folder
        keys = sorted(key_path(folder) if folder else "" for folder in folders)
        entries = (Entry(key, join(top, key) if key else top, True, 0, "") for key in keys)
        names = (
            below + name
            for entry, listing in with_listings(entries, lambda entry: True)
            if listing is not None
            for name in self._scoped(listing, f"{entry.name}/" if entry.name else "", scope)
        )
        return MarkIndex(names)

    def _names(self, folder: str) -> Iterator[str]:
        """All marks: those of each folder at the top as one listing, and several such at the same time."""
        try:
            for entry, below in with_listings(list_dir(folder), lambda _: True, _files_below):
                if below is None:
                    yield entry.name
                else:
                    yield from (f"{entry.name}/{mark.name}" for mark in below)
        except NotFoundError:
            return

    def _scoped(self, listing: Iterator[Entry], prefix: str, scope: PathFilter) -> Iterator[str]:
        """Entries without folders that `scope` does not enter. A folder with a shortened name is entered."""

        def enters(folder: Entry) -> bool:
            path = id_of_key(prefix + folder.name)
            return path is None or scope.enters(path)

        try:
            for entry, below in with_listings(listing, enters):
                if not entry.is_dir:
                    yield prefix + entry.name
                elif below is not None:
                    yield from self._scoped(below, f"{prefix}{entry.name}/", scope)
        except NotFoundError:
            return


Ending = Literal["finished", "failed"]


class CompletionIndex(Protocol):
    """Index of what earlier runs finished, queried video by video."""

    def find(self, video: Video, state: str) -> Ending | None:
        """Completion of `video` in `state`, or None without a mark."""


class MarkIndex:
    """Marks as a sorted stream; holds at most `waiting` of them."""

    def __init__(self, names: Iterator[str], *, waiting: int = WAITING) -> None:
        self._names, self._most = names, waiting
        self._waiting: dict[str, None] = {}
        self._head = next(names, None)

    def find(self, video: Video, state: str) -> Ending | None:
        mark = _mark(video, state)
        failed = mark + FAILED
        while self._head is not None and self._head <= failed:
            self._waiting[self._head] = None
            if len(self._waiting) > self._most:
                del self._waiting[next(iter(self._waiting))]
            self._head = next(self._names, None)
        is_finished = self._waiting.pop(mark, "") is None
        if self._waiting.pop(failed, "") is None:
            return "failed"
        return "finished" if is_finished else None


class PartitionIndex:
    """The marks of one section after the other, each read when the first of its videos is asked for."""

    def __init__(self, marks: Marks, sections: Partitions) -> None:
        self._marks, self._sections = marks, sections
        self._section: Partition | None = None
        self._index = MarkIndex(iter(()))

    def find(self, video: Video, state: str) -> Ending | None:
        section = self._sections.of(video)
        if section != self._section:
            scope, below = self._sections.scope_of(section), section.source.below
            self._section = section
            if section.days is None:
                self._index = self._marks.read(scope, below)
            else:
                folders = (folder.path for folder in self._sections.folders(section))
                self._index = self._marks.read_folders(folders, scope, below)
        return self._index.find(video, state)


def _files_below(folder: str) -> Iterator[Entry]:
    return list_files(f"{folder}/")  # with its slash no store is asked whether it is a file


def _mark(video: Video, state: str) -> str:
    # A catalogue gives a folder of images after everything below the folder; `~` sorts after all that keys begin with.
    return f"{key_path(video.id)}/~{state}" if video.kind == "images" else f"{key_path(video.id)}.{state}"
