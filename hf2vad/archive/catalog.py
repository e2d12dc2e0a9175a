"""The videos of an archive: video files, and folders of numbered images."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.stills import IMAGE_SUFFIXES, LEAST_IMAGES, VIDEO_SUFFIXES, StillFilter, suffix_of
from hf2vad.errors import AccessDeniedError, BucketNotFoundError, ConfigError, NotFoundError, StorageError
from hf2vad.storage import Entry, exists, find_file, is_local, join, list_dir, readable
from hf2vad.storage.ahead import with_listings

EVERYTHING = PathFilter()

SYSTEM_FOLDERS = frozenset(
    ("@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found")
) | {"thumbs", "thumbnails"}
"""Folders, in small letters, that a NAS, a file system or a recorder keeps for itself."""

_PLAYLIST = "playlist; make a file of it: ffmpeg -i PLAYLIST -c copy OUT.mkv"
NOT_READ = {
    ".m4s": "fragment of a stream; make a file of its playlist: ffmpeg -i PLAYLIST -c copy OUT.mkv",
    **dict.fromkeys((".m3u8", ".m3u", ".mpd"), _PLAYLIST),
}
"""Why files that are of a video are not read, by ending."""

DENIED = hashlib.sha256(b"denied").hexdigest()[:16]
"""Fingerprint of a folder that may not be listed."""


@dataclass(frozen=True)
class Video:
    """One video of an archive."""

    id: str
    """Name of the video in a run: its path in the archive, after the archive's name and a slash if the archive has one.
    """
    uri: str
    kind: Literal["file", "images"]
    """`file`: a video file. `images`: a folder of numbered images, in numeric order."""
    fingerprint: str
    """16 hex digits that change with the content: a hash of size and ETag or modification time."""
    size: int
    """Bytes."""
    modified: float = 0.0
    """Unix time of its last change; of a folder of images, that of the folder or of the image that changed last."""
    source: str = ""
    """Name of its archive, where a run has several; empty: the archive has no name."""

    @property
    def path(self) -> str:
        """Path in its archive, as valid text: bytes of a local name that are not UTF-8 are shown as escapes.

        Patterns of paths are read against this, never against `id`.
        """
        return self.id.removeprefix(f"{self.source}/") if self.source else self.id


def catalogue(
    archive: str, include: Sequence[str] = (), scope: PathFilter = EVERYTHING, passed: PassedOver | None = None
) -> Iterator[Video]:
    """The videos of `archive`, a folder, an s3://bucket/prefix or one video file, without a full listing in memory.

    Sorted: within a folder, files and subfolders in the byte order of their keys, and then, as one video, the images
    that lie directly in the folder, where there are at least LEAST_IMAGES that are frames (stills.py). `include`: only
    videos whose id or name matches one of these patterns. `scope`: only what it holds; folders that it does not enter
    are not listed. What merely looks like a video is listed too, and so is a folder that may not be: they fail when
    they are opened. `passed`: is told of files and folders that are no videos, hidden ones (`.name`) among them.

    Raises NotFoundError where there is nothing, StorageError where there is one file that is not read.
    """
    single = _single_file(archive)
    walk = _Listing(scope.enters, passed or PassedOver())
    found = iter([single]) if single else walk.folder(archive, list_dir(archive), "", frozenset())
    return (video for video in found if _included(video, include) and scope.holds(video.id))


def in_folders(
    archive: str,
    folders: Iterable[str],
    include: Sequence[str] = (),
    scope: PathFilter = EVERYTHING,
    passed: PassedOver | None = None,
) -> Iterator[Video]:
    """The videos of `archive` that are in some of its folders, each given by its path there, in that order.

    What `catalogue` gives of them, without a listing of the folders above. One that is gone by now holds none.
    """
    walk = _Listing(scope.enters, passed or PassedOver())
    entries = (Entry(path, join(archive, path) if path else archive, True, 0, "") for path in folders)
    for folder, listing in with_listings(entries, lambda folder: True):
        assert listing is not None
        prefix = f"{folder.name}/" if folder.name else ""
        for video in walk.below(folder, listing, prefix, _real_above(archive, folder.name)):
            if _included(video, include) and scope.holds(video.id):
                yield video


def folders_above(archive: str, enters: Callable[[str], bool], passed: PassedOver) -> Iterator[str]:
    """Walk through `archive` by the folders that `enters` says yes to, each a path in it, for what `enters` sees.

    Yields the paths of the videos in them, as bytes of local names have them; `passed` is told of what is no video.
    """
    below = f"{archive.rstrip('/')}/"
    for video in _Listing(enters, passed).folder(archive, list_dir(archive), "", frozenset()):
        yield video.uri.removeprefix(below)


def _real_above(archive: str, path: str) -> frozenset[str]:
    """The local folders above a folder of `archive`, so that links to them are seen to be circles."""
    parts = path.split("/")
    above = (join(archive, *parts[:depth]) for depth in range(len(parts)))
    return frozenset(map(os.path.realpath, above)) if path and is_local(archive) else frozenset()


def find_video(archive: str, video: str, *, fingerprint: str | None = None) -> Video | None:
    """The video of `archive` with that id, without listing the others; none when it is not there.

    An id that would lead out of the archive is not there, nor is one whose bytes were not UTF-8. `fingerprint`: what
    it had when it was scored, which the result then has too; the images of a folder are not listed for it.
    """
    found = _single_file(archive)
    if found is not None:
        found = found if found.id == video else None
    elif {".", "..", *([""] if is_local(archive) else [])}.isdisjoint(video.split("/")):
        found = _inside(archive, video, fingerprint)
    return found if found is None or fingerprint is None else replace(found, fingerprint=fingerprint)


def no_video(archives: str, passed: PassedOver | None = None, which: str = "") -> ConfigError:
    """The error to raise where `archives` have no video, or none of those that `which` describes."""
    endings = f"videos end in {' '.join(VIDEO_SUFFIXES)}, or are folders of numbered images"
    return ConfigError("; ".join([f"{archives}: no video there{which}", *(passed.lines() if passed else ()), endings]))


def _inside(archive: str, video: str, fingerprint: str | None) -> Video | None:
    uri = f"{archive.rstrip('/')}/{video}"
    entry = find_file(uri) if video.lower().endswith(VIDEO_SUFFIXES) else None
    if entry is not None:
        return replace(_file_video(entry, ""), id=video)
    folders = [uri, *([archive.rstrip("/")] if video == archive.rstrip("/").rsplit("/", 1)[-1] else [])]
    for folder in filter(exists, folders):
        if fingerprint is not None:
            return Video(video, folder, "images", fingerprint, 0)
        found = next((each for each in catalogue(folder) if each.kind == "images" and each.uri == folder), None)
        if found is not None:
            return replace(found, id=video)
    return None


def _included(video: Video, patterns: Sequence[str]) -> bool:
    name = video.id.rsplit("/", 1)[-1]
    return not patterns or any(fnmatchcase(video.id, p) or fnmatchcase(name, p) for p in patterns)


def _single_file(archive: str) -> Video | None:
    is_video = archive.lower().endswith(VIDEO_SUFFIXES)
    entry = find_file(archive) if is_video or is_local(archive) else None
    if entry is not None and not is_video:
        raise StorageError(f"{readable(archive)}: {NOT_READ.get(suffix_of(archive), 'no folder, and no video')}")
    return None if entry is None else _file_video(entry, "")


@dataclass(frozen=True)
class _Listing:
    """A walk through the folders of an archive."""

    enters: Callable[[str], bool]
    """True if a folder, a path in the archive, can contain wanted videos."""
    passed: PassedOver

    def folder(self, uri: str, listing: Iterator[Entry], prefix: str, above: frozenset[str]) -> Iterator[Video]:
        if is_local(uri):
            real = os.path.realpath(uri)
            if real in above:
                self.passed.note(prefix, "link to a folder that holds it")
                return
            above = above | {real}
        images = _Images(prefix, self.passed)
        try:
            yield from self._entries(listing, prefix, above, images)
        except AccessDeniedError:
            if not prefix:
                raise
            yield Video(readable(prefix[:-1]), uri, "images", DENIED, 0)
            return
        yield from images.video(uri)

    def _entries(
        self, listing: Iterator[Entry], prefix: str, above: frozenset[str], images: _Images
    ) -> Iterator[Video]:
        fragments: list[str] = []
        starts: list[Entry] = []
        for entry, below in with_listings(self._visible(listing, prefix), lambda folder: self._enters(prefix, folder)):
            path, suffix = prefix + entry.name, suffix_of(entry.name)
            if entry.is_dir:
                if entry.name.lower() in SYSTEM_FOLDERS:
                    self.passed.note(f"{path}/", "folder of a storage system")
                elif below is not None:
                    yield from self.below(entry, below, f"{path}/", above)
                continue
            if suffix == ".mp4" and entry.name.lower().startswith("init"):
                starts.append(entry)
                continue
            if suffix == ".m4s":
                fragments.append(suffix)
            if suffix in VIDEO_SUFFIXES or suffix in IMAGE_SUFFIXES:
                images.show(entry)
            if suffix in VIDEO_SUFFIXES:
                yield _file_video(entry, prefix)
            elif suffix not in IMAGE_SUFFIXES:
                self.passed.note(path, NOT_READ.get(suffix, "not a video"))
        for entry in starts:
            if fragments:
                self.passed.note(prefix + entry.name, NOT_READ[".m4s"])
            else:
                yield _file_video(entry, prefix)

    def _visible(self, listing: Iterator[Entry], prefix: str) -> Iterator[Entry]:
        for entry in listing:
            if entry.name.startswith("."):
                self.passed.note(f"{prefix}{entry.name}{'/' * entry.is_dir}", "hidden")
            else:
                yield entry

    def _enters(self, prefix: str, folder: Entry) -> bool:
        return folder.name.lower() not in SYSTEM_FOLDERS and self.enters(prefix + folder.name)

    def below(self, entry: Entry, listing: Iterator[Entry], prefix: str, above: frozenset[str]) -> Iterator[Video]:
        """The videos of a folder; none where it is gone by now."""
        try:
            yield from self.folder(entry.uri, listing, prefix, above)
        except BucketNotFoundError:
            raise
        except NotFoundError:
            return


class _Images:
    """The images that lie directly in a folder, as the video that they may be."""

    def __init__(self, prefix: str, passed: PassedOver) -> None:
        self._prefix, self._passed = prefix, passed
        self._chosen = StillFilter()
        self._waiting: dict[str, Entry] = {}
        self._digest = hashlib.sha256()
        self._size = self._count = 0
        self._modified = 0.0
        self._first: list[str] = []

    def show(self, entry: Entry) -> None:
        """Take a video or image of the folder, in the byte order of names."""
        if suffix_of(entry.name) in IMAGE_SUFFIXES:
            self._waiting[entry.name] = entry
        self._take(self._chosen.show(entry.name))

    def video(self, uri: str) -> Iterator[Video]:
        """The folder at `uri` as a video, if it has enough frames."""
        self._take(self._chosen.end())
        if self._count < LEAST_IMAGES:
            for name in self._first:
                self._passed.note(self._prefix + name, f"fewer than {LEAST_IMAGES} images in a folder")
            return
        if is_local(uri):
            with contextlib.suppress(OSError):  # it is gone by now
                self._modified = max(self._modified, os.stat(uri).st_mtime)
        name = self._prefix[:-1] or os.path.basename(uri.rstrip("/")) or "images"
        yield Video(readable(name), uri, "images", self._digest.hexdigest()[:16], self._size, self._modified)

    def _take(self, frames: Iterator[str]) -> None:
        for name in frames:
            entry = self._waiting.pop(name)
            self._digest.update(f"{name}\0{entry.size}\0{entry.version}\n".encode(errors="surrogateescape"))
            self._size, self._count = self._size + entry.size, self._count + 1
            self._modified = max(self._modified, entry.modified)
            if len(self._first) < LEAST_IMAGES:
                self._first.append(name)
        for still in self._chosen.passed:
            del self._waiting[still.name]
            self._passed.note(self._prefix + still.name, still.why)
        self._chosen.passed.clear()


def _file_video(entry: Entry, prefix: str) -> Video:
    fingerprint = hashlib.sha256(f"{entry.size}\0{entry.version}".encode()).hexdigest()[:16]
    return Video(readable(prefix + entry.name), entry.uri, "file", fingerprint, entry.size, entry.modified)
