"""Several archives, and days one by one: sections of what is asked for, each of which is listed in the order of names.

Nothing but a path says when a video was made without the whole archive being listed first (a store lists by name, and
a copy has a time of its own), so an order by age goes by the days in the pattern. Only the days are held: each is
listed when its turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from hf2vad.archive.catalog import EVERYTHING, Video, catalogue
from hf2vad.archive.scope import Days, Scope
from hf2vad.errors import ConfigError
from hf2vad.storage import Entry, absolute, list_dir

Order = Literal["name", "oldest", "newest"]

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(.+)", re.DOTALL)


class Source(NamedTuple):
    """An archive among others."""

    name: str
    """What the ids of its videos begin with; empty: an archive that has no name, whose ids are paths."""
    uri: str

    @property
    def below(self) -> str:
        """The beginning of its videos' ids."""
        return f"{self.name}/" if self.name else ""


def parse_sources(given: Sequence[str]) -> tuple[Source, ...]:
    """The archives that `uri`, or `name=uri` for each of several, stand for; local paths become absolute.

    Raises ConfigError for several of which one has no name, or two have the same.
    """
    found = [_NAMED.fullmatch(text) for text in given]
    sources = tuple(
        Source(named[1], absolute(named[2])) if named else Source("", absolute(text))
        for text, named in zip(given, found, strict=True)
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


class Section(NamedTuple):
    """One archive; of it, where days are walked one by one, the videos of some days."""

    source: Source
    days: Days | None = None


@dataclass(frozen=True)
class Sections:
    """What is asked for of some archives, in which order."""

    sources: tuple[Source, ...]
    scope: Scope = EVERYTHING
    order: Order = "name"
    """`name`: archive by archive, in the order of names. `oldest`, `newest`: by the days in the pattern."""
    include: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError for an order that the pattern does not say."""
        if self.order != "name" and not self.scope.depth:
            raise ConfigError(
                f"--order {self.order} needs a --pattern with {{date}} or {{year}}, got {self.scope.pattern!r}: "
                "nothing else says how old a video is"
            )

    def videos(self) -> Iterator[Video]:
        """The videos, section by section. Raises NotFoundError where one of the archives is not there."""
        for section in self._all():
            for video in catalogue(section.source.uri, self.include, self.scope_of(section)):
                yield replace(video, id=section.source.below + video.id, source=section.source.name)

    def of(self, video: Video) -> Section:
        """The section that a video from `videos` is in."""
        source = next(one for one in self.sources if one.name == video.source)
        return Section(source, None if self.order == "name" else self.scope.days_of(video.path))

    def scope_of(self, section: Section) -> Scope:
        """Which videos of its archive are in `section`."""
        return self.scope if section.days is None else self.scope.on(section.days)

    def _all(self) -> Iterator[Section]:
        if self.order == "name":
            yield from map(Section, self.sources)
            return
        days = {found for source in self.sources for found in days_below(source.uri, self.scope)}
        for some in sorted(days, reverse=self.order == "newest"):
            yield from (Section(source, some) for source in self.sources)


def days_below(uri: str, scope: Scope, path_of: Callable[[Entry], str] = lambda entry: entry.name) -> set[Days]:
    """The days of what is below `uri` and in `scope`, whose pattern has them. Nothing deeper than the days is listed.

    `path_of`: the part of a path that an entry stands for.
    """
    return set(_days_below(uri, "", scope, scope.depth, path_of))


def _days_below(uri: str, above: str, scope: Scope, depth: int, path_of: Callable[[Entry], str]) -> Iterator[Days]:
    for entry in list_dir(uri):
        path = above + path_of(entry)
        if depth > 1:
            if entry.is_dir and scope.enters(path):
                yield from _days_below(entry.uri, f"{path}/", scope, depth - 1, path_of)
        elif days := scope.days_of(path):
            yield days
