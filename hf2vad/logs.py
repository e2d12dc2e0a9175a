"""Log lines for the events of a run: `--log text` for people, `--log json` for a log store.

Each line has a time (UTC), a level and a message that is the same for all lines of its kind; what it is about stands in
fields beside it: `run` and `job`, then `video`, `shard` (first frame and the one after the last), and figures. Nothing
else of the process is logged, so that a line holds what the callers of `event` name: ids of videos, reasons, counts.
Without `--log` nothing is written.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

FORMS = ("text", "json")
INFO, ERROR = logging.INFO, logging.ERROR

_LOG = logging.getLogger("hf2vad")
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())

_BOUND: dict[str, object] = {}


def write_logs(form: str) -> None:
    """Write a line to stderr for every later event. `form`: `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOG.handlers = [handler]
    _LOG.setLevel(logging.INFO)


def written() -> bool:
    """True if events are written."""
    return _LOG.isEnabledFor(logging.INFO)


def bind(**fields: object) -> None:
    """Let every line of this process from now on have these fields."""
    _BOUND.update(fields)


def event(message: str, *, level: int = INFO, **fields: object) -> None:
    """Something happened. `fields`: what it is about, as JSON has it; those that are none are left out."""
    if written():
        known = {name: value for name, value in {**_BOUND, **fields}.items() if value is not None}
        _LOG.log(level, message, extra={"fields": known})


def warn(message: str, **fields: object) -> None:
    """Something went wrong, and the run goes on."""
    event(message, level=logging.WARNING, **fields)


def end_with(line: str) -> None:
    """Say why the process ends early, to whoever started it: `line` on stderr, or the event that says the same."""
    if written():
        event("ended early", level=ERROR, why=line.removeprefix("error: "))
    else:
        print(line, file=sys.stderr)


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class _Json(logging.Formatter):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage(), **fields}
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    """Time, level, message, and name=value for each field."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        shown = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        return f"{_time(record)} {record.levelname.lower()} {record.getMessage()} {shown}".rstrip()


def _shown(value: object) -> str:
    """A value on one line, without what a terminal would obey."""
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
