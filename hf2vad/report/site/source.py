"""The video that was scored, where the archive still has it."""

from __future__ import annotations

from typing import Any

from hf2vad.archive.catalog import VIDEO_SUFFIXES, Video
from hf2vad.storage import exists, find_file, join


def find_source(archive: str, video: str, fingerprint: str) -> Video | None:
    """The video of `archive` with that id, found without listing the others; none when it is not there.

    An id whose bytes were not UTF-8 is not found again, and one that would lead out of the archive never is.
    """
    own = archive.rstrip("/").rsplit("/", 1)[-1]
    if archive.lower().endswith(VIDEO_SUFFIXES):
        entry = find_file(archive) if own == video else None
        return None if entry is None else Video(video, archive, "file", fingerprint, entry.size)
    if not {"", ".", ".."}.isdisjoint(video.split("/")):
        return None
    uri = join(archive, video)
    entry = find_file(uri) if video.lower().endswith(VIDEO_SUFFIXES) else None
    if entry is not None:
        return Video(video, uri, "file", fingerprint, entry.size)
    folder = uri if exists(uri) else archive if video == own else None
    return None if folder is None else Video(video, folder, "images", fingerprint, 0)


def scored_part(metadata: dict[str, Any]) -> tuple[int, int]:
    """The frames of a video that were scored, the end exclusive."""
    return int(metadata.get("start", 0)), int(metadata.get("stop", 0))
