"""A part of an archive, told by what its paths say of camera and date, so that a night lists a night and not ten years.

In a pattern such as `{camera}/{date}/*` each part between slashes is one folder or file name. `{camera}` is any text,
`{date}` is 2026-11-24 or 20261124, `{year}`, `{month}`, `{day}` are digits; other names in braces, and `*`, are any
text. A pattern that is shorter than a path fits its beginning.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from hf2vad.errors import ConfigError

Days = tuple[date, date]
"""First and last day of what a path says: the same day, or those of a month or year."""

_FIELD = re.compile(r"(\{\w+\}|\*)")
_FORMS = {"camera": r"[^/]+?", "date": r"\d{4}-?\d{2}-?\d{2}", "year": r"\d{4}", "month": r"\d{2}", "day": r"\d{2}"}


@dataclass(frozen=True)
class Scope:
    """Which videos of an archive are wanted."""

    pattern: str = ""
    """Empty: paths say nothing, and all videos are wanted."""
    cameras: tuple[str, ...] = ()
    """Empty: all."""
    since: date | None = None
    until: date | None = None
    """The last day that is wanted."""
    _parts: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ConfigError for a pattern that does not say what is asked for."""
        names: list[str] = re.findall(r"\{(\w+)\}", self.pattern)
        if len(set(names)) != len(names):
            raise ConfigError(f"--pattern {self.pattern!r} has a name twice")
        if self.cameras and "camera" not in names:
            raise ConfigError(f"--cameras needs a --pattern with {{camera}}, got {self.pattern!r}")
        if (self.since or self.until) and not {"date", "year"} & set(names):
            raise ConfigError(f"--since and --until need a --pattern with {{date}} or {{year}}, got {self.pattern!r}")
        if self.since and self.until and self.since > self.until:
            raise ConfigError(f"--since {self.since} is after --until {self.until}")
        parts = self.pattern.strip("/").split("/") if self.pattern else []
        object.__setattr__(self, "_parts", tuple(_compiled(part) for part in parts))

    @property
    def depth(self) -> int:
        """Parts of a path after which its days are known; 0: the pattern says nothing of them."""
        dated = [i for i, part in enumerate(self._parts) if {"date", "year", "month", "day"} & set(part.groupindex)]
        return 1 + dated[-1] if dated and self._names & {"date", "year"} else 0

    def on(self, days: Days) -> Scope:
        """What of this is of `days`."""
        return replace(self, since=days[0], until=days[1])

    def days_of(self, path: str) -> Days | None:
        """The days of a path that is wanted as far as it goes; none where it is not, or does not say them."""
        known = self._known(path, whole=False)
        return _days(known) if known is not None and self._wanted(known) else None

    def camera_of(self, path: str) -> str | None:
        """The camera of a path; none where it does not say one."""
        return (self._known(path, whole=False) or {}).get("camera")

    def enters(self, folder: str) -> bool:
        """Whether wanted videos can be below `folder`, a path in the archive."""
        known = self._known(folder, whole=False)
        return known is not None and self._wanted(known)

    def holds(self, video: str) -> bool:
        """Whether the video with this path in the archive is wanted. A path that the pattern does not fit is not."""
        known = self._known(video, whole=True)
        return known is not None and self._wanted(known)

    @property
    def _names(self) -> set[str]:
        return {name for part in self._parts for name in part.groupindex}

    def _known(self, path: str, *, whole: bool) -> dict[str, str] | None:
        """What the fields stand for in the parts of `path`; none where it does not fit."""
        names = path.strip("/").split("/")
        if whole and len(names) < len(self._parts):
            return None
        known: dict[str, str] = {}
        for part, name in zip(self._parts, names, strict=False):
            found = part.fullmatch(name)
            if found is None:
                return None
            known |= found.groupdict()
        return known

    def _wanted(self, known: Mapping[str, str]) -> bool:
        if self.cameras and "camera" in known and known["camera"] not in self.cameras:
            return False
        days = _days(known)
        if days is None:
            return not _dated(known)
        return not ((self.since and days[1] < self.since) or (self.until and days[0] > self.until))


def _compiled(part: str) -> re.Pattern[str]:
    def form(piece: str) -> str:
        if piece == "*":
            return "[^/]*"
        if _FIELD.fullmatch(piece):
            return f"(?P<{piece[1:-1]}>{_FORMS.get(piece[1:-1], '[^/]+?')})"
        return re.escape(piece)

    return re.compile("".join(form(piece) for piece in _FIELD.split(part)), re.DOTALL)


def _dated(known: Mapping[str, str]) -> bool:
    return "date" in known or "year" in known


def _days(known: Mapping[str, str]) -> Days | None:
    """First and last day that the fields allow; none where they name no day that exists."""
    if "date" in known:
        digits = known["date"].replace("-", "")
        known = {"year": digits[:4], "month": digits[4:6], "day": digits[6:]}
    if "year" not in known:
        return None
    year, months = int(known["year"]), _one(known, "month") or (1, 12)
    try:
        last = calendar.monthrange(year, months[1])[1]
        days = (_one(known, "day") if "month" in known else None) or (1, last)
        return date(year, months[0], days[0]), date(year, months[1], days[1])
    except ValueError:
        return None


def _one(known: Mapping[str, str], name: str) -> tuple[int, int] | None:
    return (int(known[name]), int(known[name])) if name in known else None


def parse_day(text: str, option: str) -> date | None:
    """A day such as 2026-11-24; none for an empty text. Raises ConfigError for anything else."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} must be a day such as 2026-11-24, got {text!r}") from None
