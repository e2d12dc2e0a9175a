"""The videos of an archive: video files, and folders of numbered images."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from hf2vad.archive.scope import Scope
from hf2vad.errors import BucketNotFoundError, NotFoundError
from hf2vad.storage import Entry, exists, find_file, is_local, join, list_dir, readable
from hf2vad.storage.ahead import with_listings

VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


EVERYTHING = Scope()


@dataclass(frozen=True)
class Video:
    """One video of an archive."""

    id: str
    """Its name in a run: its path in the archive, after the archive's name and a slash where that has one."""
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


def catalogue(archive: str, include: Sequence[str] = (), scope: Scope = EVERYTHING) -> Iterator[Video]:
    """The videos of `archive`, a folder, an s3://bucket/prefix or one video file, without a full listing in memory.

    Sorted: within a folder, files and subfolders in the byte order of their keys, and then, as one video, the images
    that lie directly in the folder. Hidden files and folders (`.name`) are passed over. `include`: only videos whose
    id or name matches one of these patterns. `scope`: only what it holds; folders that it does not enter are not
    listed. What merely looks like a video is listed too; it fails when it is opened.

    Raises NotFoundError where there is nothing.
    """
    single = _single_file(archive)
    found = iter([single]) if single else _folder(archive, list_dir(archive), "", frozenset(), scope)
    return (video for video in found if _included(video, include) and scope.holds(video.id))


def find_video(archive: str, video: str, *, fingerprint: str | None = None) -> Video | None:
    """The video of `archive` with that id, without listing the others; none when it is not there.

    An id that would lead out of the archive is not there, nor is one whose bytes were not UTF-8. `fingerprint`: what
    it had when it was scored, which the result then has too; the images of a folder are not listed for it.
    """
    found = _single_file(archive)
    if found is not None:
        found = found if found.id == video else None
    elif {"", ".", ".."}.isdisjoint(video.split("/")):
        found = _inside(archive, video, fingerprint)
    return found if found is None or fingerprint is None else replace(found, fingerprint=fingerprint)


def _inside(archive: str, video: str, fingerprint: str | None) -> Video | None:
    uri = join(archive, video)
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
    if not archive.lower().endswith(VIDEO_SUFFIXES):
        return None
    entry = find_file(archive)
    return None if entry is None else _file_video(entry, "")


def _folder(uri: str, listing: Iterator[Entry], prefix: str, above: frozenset[str], scope: Scope) -> Iterator[Video]:
    modified = 0.0
    if is_local(uri):
        real = os.path.realpath(uri)
        if real in above:  # a symbolic link to a folder that holds it
            return
        above = above | {real}
    digest, size, images = hashlib.sha256(), 0, 0
    shown = (entry for entry in listing if not entry.name.startswith("."))
    for entry, below in with_listings(shown, lambda folder: scope.enters(prefix + folder.name)):
        suffix = os.path.splitext(entry.name)[1].lower()
        if entry.is_dir:
            if below is not None:
                try:
                    yield from _folder(entry.uri, below, f"{prefix}{entry.name}/", above, scope)
                except BucketNotFoundError:
                    raise
                except NotFoundError:  # the folder is gone by now
                    continue
        elif suffix in VIDEO_SUFFIXES:
            yield _file_video(entry, prefix)
        elif suffix in IMAGE_SUFFIXES:
            digest.update(f"{entry.name}\0{entry.size}\0{entry.version}\n".encode(errors="surrogateescape"))
            size, images = size + entry.size, images + 1
            modified = max(modified, entry.modified)
    if images:
        if is_local(uri):
            with contextlib.suppress(OSError):  # it is gone by now
                modified = max(modified, os.stat(uri).st_mtime)
        name = prefix.rstrip("/") or os.path.basename(uri.rstrip("/")) or "images"
        yield Video(readable(name), uri, "images", digest.hexdigest()[:16], size, modified)


def _file_video(entry: Entry, prefix: str) -> Video:
    fingerprint = hashlib.sha256(f"{entry.size}\0{entry.version}".encode()).hexdigest()[:16]
    return Video(readable(prefix + entry.name), entry.uri, "file", fingerprint, entry.size, entry.modified)
