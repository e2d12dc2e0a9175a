"""Folders of an archive by the days that they hold, from one listing of the folders above them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from hf2vad.archive.catalog import folders_above
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import Days


class DayFolder(NamedTuple):
    """A folder of an archive with videos of a day."""

    path: str
    """In the archive; empty for the archive itself."""
    whole: bool
    """True if everything below the folder is of that day. Otherwise file names give the days, and the folder holds
    other days too."""


class DayFolders:
    """The days of what is in `scope`, each with its folders: 12 bytes a camera and day, whatever is in them."""

    def __init__(self, archive: str, scope: PathFilter) -> None:
        """List `archive` as deep as the pattern has days. Raises NotFoundError where there is nothing."""
        self.passed = PassedOver()
        """Files above the day folders that are not videos."""
        self._scope = scope
        self._parents: list[str] = []
        self._by_day: dict[Days, tuple[array[int], list[str]]] = {}
        for path in folders_above(archive, self._enters, self.passed):
            if _depth(path) == scope.depth and (days := scope.days_of(path)):
                self._add(days, path.rpartition("/")[0], "")

    @property
    def days(self) -> set[Days]:
        """All days that there are."""
        return set(self._by_day)

    def of(self, days: Days) -> Iterator[DayFolder]:
        """The folders of `days`, in the order in which a catalogue has them."""
        parents, names = self._by_day.get(days, (array("I"), []))
        for number, group in groupby(zip(parents, names, strict=True), key=lambda item: item[0]):
            parent, inside = self._parents[number], [name for _, name in group]
            if "" in inside:
                yield DayFolder(parent, whole=False)
            else:
                yield from (DayFolder(f"{parent}/{name}" if parent else name, whole=True) for name in inside)

    def _enters(self, path: str) -> bool:
        """Note a folder of a day, and enter those above only."""
        if _depth(path) < self._scope.depth:
            return self._scope.enters(path)
        if days := self._scope.days_of(path):
            parent, _, name = path.rpartition("/")
            self._add(days, parent, name)
        return False

    def _add(self, days: Days, parent: str, name: str) -> None:
        if not self._parents or self._parents[-1] != parent:
            self._parents.append(parent)
        number = len(self._parents) - 1
        parents, names = self._by_day.setdefault(days, (array("I"), []))
        if not (parents and parents[-1] == number and names[-1] == name):
            parents.append(number)
            names.append(sys.intern(name))


def _depth(path: str) -> int:
    return path.count("/") + 1
