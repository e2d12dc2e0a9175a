"""Camera and time of a video, read from its path. The only place that decides which camera a path is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from hf2vad.archive.catalog import Video
from hf2vad.archive.pattern import PathFields, PathPattern
from hf2vad.archive.recorders import recorder_path

NO_PATTERN = PathPattern()
NAMED = 5
"""Cameras of a recorder that a line names, at most."""


@dataclass(frozen=True)
class Place:
    """Camera and time that a path gives."""

    camera: str
    """As `camera_of`, but never empty: where a pattern names no camera, the first folder or the video itself does. It
    stands below the archive's name where it has one."""
    day: date | None
    start: datetime | None
    """Time of the first frame in the archive's own time zone. None if the path gives no hour."""


def place_of(path: str, pattern: PathPattern, source: str = "") -> Place:
    """The place of the video with this path in its archive; `source`: the archive's name, if it has one.

    Without a pattern, what usual recorders write into paths is read.
    """
    if not pattern.text and (found := recorder_path(path)) is not None:
        return Place(_below(source, found.camera), found.day, found.start)
    fields = pattern.read(path) or PathFields({})
    day, clock = fields.day, fields.clock
    camera = _below(source, fields.camera or _first_part(path))
    return Place(camera, day, datetime.combine(day, clock) if day and clock else None)


def camera_of(path: str, pattern: PathPattern = NO_PATTERN) -> str:
    """The camera of the video with this path in its archive: what `pattern` says, empty where it says none.

    Without a pattern it is what a recorder's path says, else the first folder, else the video itself.
    """
    if pattern.text:
        return pattern.camera_of(path)
    found = recorder_path(path)
    return _first_part(path) if found is None else found.camera


@dataclass
class RecorderCameras:
    """Cameras that recorders' paths name, for the lines that say so."""

    names: dict[str, dict[str, None]] = field(default_factory=dict)
    """Cameras by recorder, in the order in which they came."""

    def note(self, path: str) -> str:
        """Note the camera of a video without a pattern; returns its name, empty where no recorder gives one."""
        found = recorder_path(path)
        if found is None:
            return ""
        self.names.setdefault(found.recorder, {})[found.camera] = None
        return found.camera

    def watched(self, videos: Iterable[Video]) -> Iterator[Video]:
        """`videos`, each noted when its turn comes."""
        for video in videos:
            self.note(video.path)
            yield video

    def lines(self) -> Iterator[str]:
        """For people: `cameras from names (Reolink): front, yard`."""
        for recorder, cameras in self.names.items():
            more = f" and {len(cameras) - NAMED:,} more" if len(cameras) > NAMED else ""
            yield f"cameras from names ({recorder}): {', '.join(list(cameras)[:NAMED])}{more}"


def _first_part(path: str) -> str:
    return path.strip("/").split("/", 1)[0]


def _below(source: str, camera: str) -> str:
    return "/".join(filter(None, [source, camera]))
