"""Path patterns such as `{camera}/{date}/*`. The only place that reads them.

Each part between slashes is one folder or file name. `{camera}` is any text, `{date}` is 2026-11-24 or 20261124,
`{year}`, `{month}`, `{day}` are digits; other names in braces, and `*`, are any text. Text before other text is as
short as it can be. A pattern that is shorter than a path fits its beginning.

A pattern reads `Video.path`, the path inside an archive, never an id that may begin with the archive's name.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache

from hf2vad.errors import ConfigError

Days = tuple[date, date]
"""First and last day of what a path says: the same day, or those of a month or year."""

EXAMPLE = "{camera}/{date}/*"

_PIECE = re.compile(r"(\{[^{}/]*\}|\*)")
_FORMS = {"camera": r"[^/]+?", "date": r"\d{4}-?\d{2}-?\d{2}", "year": r"\d{4}", "month": r"\d{2}", "day": r"\d{2}"}


@dataclass(frozen=True)
class PathFields:
    """Values of a pattern's names in one path."""

    values: Mapping[str, str]
    """Text by name, as far as the path goes."""

    @property
    def camera(self) -> str:
        """Empty where the pattern has no `{camera}`, or the path ends before it."""
        return self.values.get("camera", "")

    @property
    def dated(self) -> bool:
        """True if the path gives a date or a year. The day may not exist in the calendar."""
        return "date" in self.values or "year" in self.values

    @property
    def days(self) -> Days | None:
        """First and last day that the fields allow; None where they name no day that exists."""
        known = self.values
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

    @property
    def day(self) -> date | None:
        """The one day that the fields name; None where they name a month, a year, or no day that exists."""
        days = self.days
        return days[0] if days and days[0] == days[1] else None

    @property
    def clock(self) -> time | None:
        """Time of day, from `{time}` (2215, 22-15 or 221530) or from `{hour}`, `{minute}`, `{second}`."""
        parts = tuple(self.values.get(name) for name in ("hour", "minute", "second"))
        if "time" in self.values:
            match = re.fullmatch(r"(\d\d)\D?(\d\d)?\D?(\d\d)?\D*", self.values["time"])
            parts = match.group(1, 2, 3) if match else (None, None, None)
        hour, minute, second = parts
        try:
            return time(int(hour or ""), int(minute or 0), int(second or 0))
        except ValueError:
            return None


@dataclass(frozen=True)
class PathPattern:
    """A pattern of paths in an archive."""

    text: str = ""
    """Such as `{camera}/{date}/*`. Empty: paths say nothing, and every path fits."""

    def __post_init__(self) -> None:
        """Raises ConfigError, which names the pattern and a right one, for text that is no pattern."""
        _parsed(self.text)

    @classmethod
    def of_camera(cls, text: str) -> PathPattern:
        """A pattern that says which camera a video is of; an empty one says of none. Raises ConfigError without
        `{camera}`."""
        pattern = cls(text)
        if text and "camera" not in pattern.names:
            raise _refusal(text, "it has no {camera}")
        return pattern

    @property
    def names(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(name for part in _parsed(self.text) for name in part.groupindex)

    @property
    def depth(self) -> int:
        """Parts of a path after which its days are known; 0: the pattern says nothing of them."""
        if not self.names & {"date", "year"}:
            return 0
        days = {"date", "year", "month", "day"}
        return max(i for i, part in enumerate(_parsed(self.text), 1) if days & set(part.groupindex))

    def read(self, path: str) -> PathFields | None:
        """The fields of a video's path; None where the pattern does not fit it."""
        fields = self.read_beginning(path)
        whole = path.strip("/").count("/") + 1 >= len(_parsed(self.text))
        return fields if whole else None

    def read_beginning(self, path: str) -> PathFields | None:
        """The fields of a path that may end before the pattern does, such as a folder's; None where it does not fit."""
        values: dict[str, str] = {}
        for part, name in zip(_parsed(self.text), path.strip("/").split("/"), strict=False):
            match = part.fullmatch(name)
            if match is None:
                return None
            values |= match.groupdict()
        return PathFields(values)

    def camera_of(self, path: str) -> str:
        """The camera of a video's path; empty where the pattern does not say one."""
        fields = self.read(path)
        return fields.camera if fields else ""


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[re.Pattern[str], ...]:
    """An expression for each part of a path; its groups are the names. Raises ConfigError."""
    names: list[str] = [piece[1:-1] for piece in _PIECE.findall(text) if piece != "*"]
    if odd := [name for name in names if not name.isidentifier()]:
        raise _refusal(text, f"{{{odd[0]}}} is no name of letters, digits and _")
    if twice := [name for name in names if names.count(name) > 1]:
        raise _refusal(text, f"it has {{{twice[0]}}} twice")
    if set("{}") & set(_PIECE.sub("", text)):
        raise _refusal(text, "each brace must be part of a {name}")
    parts = text.strip("/").split("/") if text else []
    if not all(parts):
        raise _refusal(text, "there is nothing between two slashes")
    return tuple(re.compile("".join(map(_expression, _PIECE.split(part))), re.DOTALL) for part in parts)


def _expression(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if _PIECE.fullmatch(piece):
        return f"(?P<{piece[1:-1]}>{_FORMS.get(piece[1:-1], '[^/]+?')})"
    return re.escape(piece)


def _refusal(text: str, why: str) -> ConfigError:
    return ConfigError(f"pattern {text!r}: {why}; a right one is {EXAMPLE}")


def _one(known: Mapping[str, str], name: str) -> tuple[int, int] | None:
    return (int(known[name]), int(known[name])) if name in known else None
