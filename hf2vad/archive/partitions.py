"""Several archives, and days one by one: sections of what is asked for, each of which is listed in the order of names.

Nothing but a path says when a video was made without the whole archive being listed first (a store lists by name, and
a copy has a time of its own), so an order by age goes by the days in the pattern. Only the days and the names of their
folders are held: each is listed when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Literal, NamedTuple

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.catalog import EVERYTHING, Video, catalogue, in_folders
from hf2vad.archive.day_folders import DayFolder, DayFolders
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import Days
from hf2vad.errors import ConfigError
from hf2vad.storage import Entry

Order = Literal["name", "oldest", "newest"]


class Partition(NamedTuple):
    """One archive; of it, where days are walked one by one, the videos of some days."""

    source: ArchiveRef
    days: Days | None = None


@dataclass(frozen=True)
class Partitions:
    """Days and cameras of some archives that a run covers, in the order of work."""

    sources: tuple[ArchiveRef, ...]
    scope: PathFilter = EVERYTHING
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

    def videos(self, passed: PassedOver | None = None) -> Iterator[Video]:
        """The videos, section by section; `passed` is told of what is no video.

        Raises NotFoundError where one of the archives is not there.
        """
        if passed is not None:
            for folders in self._day_folders.values():
                passed.add(folders.passed)
        for section in self._all():
            for video in self._listed(section, passed):
                yield replace(video, id=section.source.below + video.id, source=section.source.name)

    def _listed(self, section: Partition, passed: PassedOver | None) -> Iterator[Video]:
        uri, scope = section.source.uri, self.scope_of(section)
        if section.days is None:
            yield from catalogue(uri, self.include, scope, passed)
            return
        for whole, folders in groupby(self.folders(section), key=lambda folder: folder.whole):
            paths = (folder.path for folder in folders)
            # What else lies beside files of a day was counted when the days were found.
            yield from in_folders(uri, paths, self.include, scope, passed if whole else None)

    def check_pattern(self) -> None:
        """Raise ConfigError where there are videos, and the pattern fits none of them, of whatever day or camera.

        Archives are listed as far as the first video that it fits.
        """
        if not self.scope.pattern:
            return
        example = None
        for source in self.sources:
            for video in catalogue(source.uri, self.include):
                if self.scope.paths.read(video.id) is not None:
                    return
                example = example or f"{video.id!r} in {source.uri}"
        if example is not None:
            raise ConfigError(f"--pattern {self.scope.pattern!r} fits no video, such as {example}")

    def of(self, video: Video) -> Partition:
        """The section that a video from `videos` is in."""
        source = next(one for one in self.sources if one.name == video.source)
        return Partition(source, None if self.order == "name" else self.scope.days_of(video.path))

    def scope_of(self, section: Partition) -> PathFilter:
        """Filter for the videos of the archive in `section`."""
        return self.scope if section.days is None else self.scope.on(section.days)

    def folders(self, section: Partition) -> Iterator[DayFolder]:
        """The folders of a section of some days, in the order in which its videos are listed."""
        assert section.days is not None
        return self._day_folders[section.source].of(section.days)

    def _all(self) -> Iterator[Partition]:
        if self.order == "name":
            yield from map(Partition, self.sources)
            return
        days = {day for folders in self._day_folders.values() for day in folders.days}
        for some in sorted(days, reverse=self.order == "newest"):
            yield from (Partition(source, some) for source in self.sources)

    @cached_property
    def _day_folders(self) -> dict[ArchiveRef, DayFolders]:
        """The folders of the days of each archive, listed once; of none where days are not walked one by one."""
        sources = () if self.order == "name" else self.sources
        return {source: DayFolders(source.uri, self.scope) for source in sources}


def days_below(uri: str, scope: PathFilter, entries: Callable[[str, str], Iterable[tuple[str, Entry]]]) -> set[Days]:
    """The days of what is below `uri` and in `scope`, whose pattern has them. Nothing deeper than the days is listed.

    `entries`: what is directly below a folder, each with its path, of the folder's URI and what paths begin with there.
    """
    return set(_days_below(uri, "", scope, scope.depth, entries))


def _days_below(
    uri: str, above: str, scope: PathFilter, depth: int, entries: Callable[[str, str], Iterable[tuple[str, Entry]]]
) -> Iterator[Days]:
    for path, entry in entries(uri, above):
        if depth > 1:
            if entry.is_dir and scope.enters(path):
                yield from _days_below(entry.uri, f"{path}/", scope, depth - 1, entries)
        elif days := scope.days_of(path):
            yield days
