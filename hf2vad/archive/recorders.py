"""Camera and time in the paths of usual recorders, where nobody gives a pattern.

The first recorder whose form the end of a path has is believed. Folders before that end are read for a camera's name
alone. Times are what the recorder wrote: Frigate's are UTC, the others' their own clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property

_PIECES = {
    "YEAR": r"(?P<year>20\d\d)",
    "SHORT": r"(?P<short>\d\d)",
    "MONTH": r"(?P<month>\d\d)",
    "DAY": r"(?P<day>\d\d)",
    "HOUR": r"(?P<hour>\d\d)",
    "MINUTE": r"(?P<minute>\d\d)",
    "SECOND": r"(?P<second>\d\d)",
    "CAMERA": r"(?P<camera>[^/]+?)",
    "NUMBER": r"\d+",
    "SEP": r"[-._ T]",
    "ANY": r"[^/]*",
}
_WORD = re.compile("|".join(_PIECES))
_DATED = re.compile(r"20\d\d(\D?\d\d){0,2}")
"""A folder of a year, a month or a day."""

UNNAMED = "camera"
"""Name of the camera whose recorder names it nowhere in a path, as an SD card of one camera."""


@dataclass(frozen=True)
class Recorder:
    """How a recorder names its files."""

    name: str
    form: str
    """The end of a path. Words in capitals stand for what they say: SHORT is a year of two digits, SEP a separator."""
    source: str
    """Where the form is documented, or can be read in code."""

    @cached_property
    def expression(self) -> re.Pattern[str]:
        literals, words = _WORD.split(self.form), _WORD.findall(self.form)
        pieces = [re.escape(literals[0])]
        for word, literal in zip(words, literals[1:], strict=True):
            pieces += [_PIECES[word], re.escape(literal)]
        return re.compile(rf"(?:^|/)(?:{''.join(pieces)})$")


@dataclass(frozen=True)
class RecorderPath:
    """Camera and time that a recorder's path gives."""

    recorder: str
    camera: str
    """Name in the form, else the first folder that is no date, else UNNAMED. A name that is a part of the file's comes
    after that folder's, as in `front-video`: files of two cameras may begin alike, and folders tell them apart."""
    day: date
    start: datetime | None
    """When the file begins; None where the path has the day alone."""


RECORDERS = (
    Recorder("Frigate", "YEAR-MONTH-DAY/HOUR/CAMERA/MINUTE.SECOND.mp4", "its documentation, Recording"),
    Recorder("Frigate to 0.11", "YEAR-MONTH/DAY/HOUR/CAMERA/MINUTE.SECOND.mp4", "the same, of that release"),
    Recorder("ZoneMinder, deep", "CAMERA/SHORT/MONTH/DAY/HOUR/MINUTE/SECOND/ANY", "src/zm_event.cpp, Storage::DEEP"),
    Recorder("ZoneMinder", "CAMERA/YEAR-MONTH-DAY/NUMBER/NUMBER-videoANY", "src/zm_event.cpp, Storage::MEDIUM"),
    Recorder("Dahua", "YEAR-MONTH-DAY/ANY/dav/ANY/HOUR.MINUTE.SECOND-ANY", "paths on its SD cards and by FTP"),
    Recorder("Dahua", "CAMERA_main_YEARMONTHDAYHOURMINUTESECOND_ANY", "its export, NVR_ch1_main_<start>_<end>.dav"),
    Recorder("Reolink", "RecANY_YEARMONTHDAY_HOURMINUTESECOND_ANY", "names of its SD card, as its API gives them"),
    Recorder("Reolink", "RecANY_DSTYEARMONTHDAY_HOURMINUTESECOND_ANY", "the same in summer time"),
    Recorder("Hikvision", "CAMERA_YEARMONTHDAYHOURMINUTESECONDANY", "its FTP, <address>_<channel>_<time>_<event>"),
    Recorder("Blue Iris", "CAMERA.YEARMONTHDAY_HOURMINUTESECONDANY", "its help, Record: &CAM.%Y%m%d_%H%M%S"),
    Recorder("motion", "NUMBER-YEARMONTHDAYHOURMINUTESECONDANY", "its option movie_filename, %v-%Y%m%d%H%M%S"),
    Recorder("a folder a day", "YEAR-MONTH-DAY/HOURSEPMINUTESEPSECONDANY", "motionEye, and ffmpeg -strftime"),
    Recorder("a folder a day", "YEAR-MONTH-DAY/HOURMINUTESECOND.ANY", "the same without separators"),
    Recorder("time in the name", "CAMERASEPYEAR-MONTH-DAYSEPHOURSEPMINUTESEPSECONDANY", "ffmpeg -strftime"),
)
"""Path forms of recorders. Files that Reolink uploads by FTP, <camera>_<channel>_<time>.mp4, have Hikvision's form."""


def recorder_path(path: str) -> RecorderPath | None:
    """Camera and time in a video's path in its archive, by the first recorder whose form fits. None if none fits."""
    for recorder in RECORDERS:
        found = recorder.expression.search(path)
        if found is not None and (day := _day(found.groupdict())) is not None:
            fields = found.groupdict()
            return RecorderPath(recorder.name, _camera(path, found), day, _start(day, fields))
    return None


def _camera(path: str, found: re.Match[str]) -> str:
    named, folder = found.groupdict().get("camera"), _named_folder(path[: found.start()])
    if named is None:
        return folder or UNNAMED
    in_file = path.rfind("/") < found.start("camera")
    return f"{folder}-{named}" if in_file and folder and folder.casefold() != named.casefold() else named


def _named_folder(above: str) -> str:
    """The first folder of a path that is no date, or a part of one; empty where there is none."""
    dated = False
    for folder in above.split("/"):
        if _DATED.fullmatch(folder):
            dated = True
        elif not (dated and folder.isdigit() and len(folder) <= 2):
            return folder
    return ""


def _day(fields: dict[str, str]) -> date | None:
    year = fields.get("year") or f"20{fields['short']}"
    try:
        return date(int(year), int(fields["month"]), int(fields["day"]))
    except ValueError:
        return None


def _start(day: date, fields: dict[str, str]) -> datetime | None:
    if "hour" not in fields:
        return None
    try:
        return datetime.combine(day, time(int(fields["hour"]), int(fields["minute"]), int(fields["second"])))
    except ValueError:
        return None
