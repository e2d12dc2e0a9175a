"""Which camera a video is of: a part of its path in the archive."""

from __future__ import annotations

import re
from functools import lru_cache

from hf2vad.errors import ConfigError

FIELD = re.compile(r"\{(\w+)\}")


def camera_of(video: str, pattern: str) -> str:
    """The part of `video` that `{camera}` stands for in `pattern`; empty without a pattern, or where it does not fit.

    In `{camera}/{date}/*.mp4` a name in braces, and `*`, stand for any characters but `/`. A pattern that is shorter
    than the path fits its beginning. Raises ConfigError for a pattern without `{camera}`.
    """
    if not pattern:
        return ""
    found = _compiled(pattern).match(video)
    return found["camera"] if found else ""


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    names = FIELD.findall(pattern)
    if names.count("camera") != 1 or len(set(names)) != len(names):
        raise ConfigError(f"a camera pattern looks like {{camera}}/{{date}}/*, with {{camera}} once; got {pattern!r}")
    parts = re.split(r"(\{\w+\}|\*)", pattern.rstrip("/"))
    wild = {part: f"(?P<{part[1:-1]}>[^/]+)" for part in parts if FIELD.fullmatch(part)} | {"*": "[^/]*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts) + r"(?:$|/)")
