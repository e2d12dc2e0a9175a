"""Camera and time of a video, read from its path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from hf2vad.archive.pattern import PathFields, PathPattern


@dataclass(frozen=True)
class Place:
    """Camera and time that a path gives."""

    camera: str
    """`{camera}`, else the first folder, else the video itself; below the archive's name where it has one."""
    day: date | None
    start: datetime | None
    """Time of the first frame in the archive's own time zone. None if the path gives no hour."""


def place_of(path: str, pattern: PathPattern, source: str = "") -> Place:
    """The place of the video with this path in its archive; `source`: the archive's name, if it has one."""
    fields = pattern.read(path) or PathFields({})
    day, clock = fields.day, fields.clock
    camera = "/".join(filter(None, [source, fields.camera or path.split("/", 1)[0]]))
    return Place(camera, day, datetime.combine(day, clock) if day and clock else None)
