"""Marks: what somebody says of an event, from a browser or a file, and which of several counts."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

import pyarrow as pa

from hf2vad.errors import ConfigError
from hf2vad.schema import REVIEWS

Verdict = Literal["reviewed", "interesting", "normal", ""]
"""`reviewed`: seen, no more. `interesting`: what is looked for. `normal`: usual here, not to be shown again. Empty: an
earlier mark is taken back."""

MOST = 20_000
"""Marks in one request or file."""
LONGEST = 4096
"""Characters of a video's id."""
_KEY = re.compile(r"[0-9a-f]{16}")
_FRAMES = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One mark on one event."""

    event: str
    """Key of the event: 16 hex digits."""
    video: str
    """Id of its video as valid text."""
    video_key: str
    """Key of its video: 16 hex digits of the exact id."""
    fingerprint: str
    """Fingerprint of the video when it was scored; empty where the site does not say."""
    start_frame: int
    end_frame: int
    """Its last frame."""
    start_s: float
    end_s: float
    verdict: Verdict
    marked_at: datetime
    """When it was set, UTC."""
    mark: str
    """Id of the mark: 32 hex digits."""

    @classmethod
    def parse(cls, values: object, *, now: datetime, where: str = "mark") -> Self:
        """A mark from JSON of a page. Without a time of its own, or with one to come, it is set `now`.

        Raises ConfigError for anything that a page does not send.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: not a JSON object")
        for name, pattern in (("event", _KEY), ("video_key", _KEY)):
            if not isinstance(values.get(name), str) or not pattern.fullmatch(values[name]):
                raise ConfigError(f"{where}: {name} must be 16 hex digits, got {values.get(name)!r:.80}")
        if values.get("verdict") not in get_args(Verdict):
            raise ConfigError(f"{where}: verdict must be one of {get_args(Verdict)}, got {values.get('verdict')!r:.80}")
        frames = [_number(values, name, where) for name in ("start_frame", "end_frame")]
        seconds = [_number(values, name, where) for name in ("start_s", "end_s")]
        if not 0 <= frames[0] <= frames[1] <= _FRAMES or frames != [int(frame) for frame in frames]:
            raise ConfigError(f"{where}: start_frame and end_frame must be frames in order, got {frames}")
        return cls(
            event=values["event"],
            video=_text(values, "video", where),
            video_key=values["video_key"],
            fingerprint=_text(values, "fingerprint", where),
            start_frame=int(frames[0]),
            end_frame=int(frames[1]),
            start_s=seconds[0],
            end_s=seconds[1],
            verdict=values["verdict"],
            marked_at=min(_time(values.get("marked_at"), where) or now, now),
            mark=uuid.uuid4().hex,
        )

    def to_json(self) -> dict[str, Any]:
        """The mark for a page: the inverse of `parse`, but for its id."""
        plain = asdict(self)
        del plain["mark"]
        return plain | {"marked_at": self.marked_at.isoformat(timespec="microseconds")}


def parse_marks(values: object, *, now: datetime, where: str) -> list[Mark]:
    """The marks in `{"hf2vad.marks": 1, "marks": […]}`, which pages send and save. Raises ConfigError."""
    marks = values.get("marks") if isinstance(values, Mapping) and values.get("hf2vad.marks") == 1 else None
    if not isinstance(marks, list):
        raise ConfigError(f"{where}: not marks of a review site (hf2vad.marks 1)")
    if len(marks) > MOST:
        raise ConfigError(f"{where}: {len(marks):,} marks, at most {MOST:,} at once")
    return [Mark.parse(mark, now=now, where=f"{where}: mark {number}") for number, mark in enumerate(marks)]


def parse_file(data: bytes, *, where: str) -> list[Mark]:
    """The marks in a file that a static site has saved. Raises ConfigError."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from None
    return parse_marks(values, now=datetime.now(UTC), where=where)


def latest(marks: Iterable[Mark]) -> dict[str, Mark]:
    """The mark of each event that counts, by the event's key: the one that was set last, whatever the order given."""
    newest: dict[str, Mark] = {}
    for mark in marks:
        before = newest.get(mark.event)
        if before is None or (mark.marked_at, mark.mark) > (before.marked_at, before.mark):
            newest[mark.event] = mark
    return newest


def to_table(marks: Sequence[Mark]) -> pa.Table:
    """Marks as rows of the table `reviews`."""
    return pa.Table.from_pylist([asdict(mark) for mark in marks], REVIEWS)


def from_table(table: pa.Table) -> list[Mark]:
    """The inverse of `to_table`."""
    names = [item.name for item in fields(Mark)]
    return [Mark(**{name: row[name] for name in names}) for row in table.to_pylist()]


def _text(values: Mapping[str, Any], name: str, where: str) -> str:
    text = values.get(name, "")
    if not isinstance(text, str) or len(text) > LONGEST or not is_valid(text):
        raise ConfigError(f"{where}: {name} must be a text of at most {LONGEST} characters")
    return text


def is_valid(text: str) -> bool:
    """True if a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return False
    return True


def _number(values: Mapping[str, Any], name: str, where: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: {name} must be a number, got {value!r:.80}")
    return float(value)


def _time(value: object, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(
            f"{where}: marked_at must be a time such as 2026-11-24T22:15:00Z, got {value!r:.80}"
        ) from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
