"""Camera and time of a video, read from its path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from hf2vad.archive.pattern import PathFields, PathPattern, camera_by_place
from hf2vad.archive.recorders import recorder_path


@dataclass(frozen=True)
class Place:
    """Camera and time that a path gives."""

    camera: str
    """`{camera}`, else what a recorder's path says, else the first folder, else the video itself; below the archive's
    name where it has one."""
    day: date | None
    start: datetime | None
    """Time of the first frame in the archive's own time zone. None if the path gives no hour."""


def place_of(path: str, pattern: PathPattern, source: str = "") -> Place:
    """The place of the video with this path in its archive; `source`: the archive's name, if it has one.

    Without a pattern, what usual recorders write into paths is read.
    """
    if not pattern.text and (found := recorder_path(path)) is not None:
        return Place(_below(source, found.camera or camera_by_place(path)), found.day, found.start)
    fields = pattern.read(path) or PathFields({})
    day, clock = fields.day, fields.clock
    camera = _below(source, fields.camera or camera_by_place(path))
    return Place(camera, day, datetime.combine(day, clock) if day and clock else None)


def _below(source: str, camera: str) -> str:
    return "/".join(filter(None, [source, camera]))
