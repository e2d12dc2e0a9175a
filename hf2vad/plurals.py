"""Numbers of things in words, and times in figures. No other module writes a plural after a number."""

from __future__ import annotations


def count_words(number: float, what: str) -> str:
    """A number of things, `what` in the singular: "1 video", "2,000 videos", "0.5 alarms"."""
    shown = f"{number:,.0f}" if number == int(number) else f"{number:g}"
    return f"{shown} {what if number == 1 else plural(what)}"


def plural(what: str) -> str:
    """The plural of a regular noun: "videos", "boxes", "anomalies"."""
    if what.endswith("y") and what[-2:-1] not in "aeiou":
        return f"{what[:-1]}ies"
    return f"{what}es" if what.endswith(("s", "x", "ch", "sh")) else f"{what}s"


def clock(seconds: float) -> str:
    """A time in a video: `1:02:03`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
