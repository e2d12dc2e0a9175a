"""Where and when a video was taken, told by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from hf2vad.archive.scope import Scope


@dataclass(frozen=True)
class Place:
    """What a path says."""

    camera: str
    """`{camera}`, else the first folder, else the video itself."""
    day: date | None
    start: datetime | None
    """When the first frame was taken, in the archive's own time; none without an hour."""


def place_of(video: str, scope: Scope) -> Place:
    """The place of a video, by the pattern of `scope`."""
    known = scope.fields(video)
    day = _day(known)
    clock = _clock(known)
    start = datetime.combine(day, clock) if day and clock else None
    return Place(known.get("camera") or video.split("/", 1)[0], day, start)


def _day(known: Mapping[str, str]) -> date | None:
    digits = known.get("date", "").replace("-", "") or "".join(known.get(k, "") for k in ("year", "month", "day"))
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _clock(known: Mapping[str, str]) -> time | None:
    """From `{time}`, 2215, 22-15 or 221530, or from `{hour}`, `{minute}`, `{second}`."""
    parts = tuple(known.get(name) for name in ("hour", "minute", "second"))
    if "time" in known:
        found = re.fullmatch(r"(\d\d)\D?(\d\d)?\D?(\d\d)?\D*", known["time"])
        parts = found.group(1, 2, 3) if found else (None, None, None)
    hour, minute, second = parts
    try:
        return time(int(hour or ""), int(minute or 0), int(second or 0))
    except ValueError:
        return None
