"""The archives of a run: one without a name, or several with names, which the ids of their videos begin with."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from hf2vad.archive.catalog import Video, find_video
from hf2vad.errors import ConfigError
from hf2vad.storage import absolute

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(.+)", re.DOTALL)


class ArchiveRef(NamedTuple):
    """One archive of a run."""

    name: str
    """Prefix of its videos' ids. Empty for an archive without a name, whose ids are plain paths."""
    uri: str

    @property
    def below(self) -> str:
        """The beginning of its videos' ids."""
        return f"{self.name}/" if self.name else ""


def parse_archives(given: str | Sequence[str]) -> tuple[ArchiveRef, ...]:
    """The archives that `uri`, or `name=uri` for each of several, stand for; local paths become absolute.

    Raises ConfigError for several of which one has no name, or two have the same.
    """
    texts = [given] if isinstance(given, str) else list(given)
    matches = [_NAMED.fullmatch(text) for text in texts]
    sources = tuple(
        ArchiveRef(match[1], absolute(match[2])) if match else ArchiveRef("", absolute(text))
        for text, match in zip(texts, matches, strict=True)
    )
    if len(sources) > 1 and (missing := [source.uri for source in sources if not source.name]):
        raise ConfigError(
            f"--archive {missing[0]}: of several archives each needs a name, such as north={missing[0]} (letters, "
            "digits, _ and -); the ids of its videos begin with it"
        )
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--archive: the name {twice[0]!r} is there twice")
    return sources


def named_sources(paths: Sequence[str]) -> tuple[ArchiveRef, ...]:
    """The archive at one absolute path, or those at several, each named by the last part of its path.

    Raises ConfigError where there is none.
    """
    if not paths:
        raise ConfigError("nothing to look at; name videos or folders, such as: hf2vad run ~/videos")
    if len(paths) == 1:
        return (ArchiveRef("", paths[0]),)
    names: list[str] = []
    for uri in paths:
        stem = os.path.splitext(uri.rstrip("/").rsplit("/", 1)[-1])[0]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:56] or "videos"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return tuple(ArchiveRef(name, uri) for name, uri in zip(names, paths, strict=True))


def split_id(video: str, names: Collection[str]) -> tuple[str, str]:
    """Name of the archive (empty: it has none) and path in it, of the id of a video; `names`: those of archives."""
    name, slash, path = video.partition("/")
    return (name, path) if slash and name in names else ("", video)


def find_in(sources: Sequence[ArchiveRef], video: str, *, fingerprint: str | None = None) -> Video | None:
    """The video with that id in its archive, as `find_video`; None where none of `sources` has it."""
    name, path = split_id(video, [source.name for source in sources])
    for source in sources:
        if source.name == name and (entry := find_video(source.uri, path, fingerprint=fingerprint)) is not None:
            return replace(entry, id=video, source=name)
    return None
