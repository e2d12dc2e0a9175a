"""Files that a listing skipped, with reasons: counted by ending, with a few names as examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hf2vad.archive.stills import suffix_of

EXAMPLES = 3
"""Names that are kept of each kind."""


@dataclass
class PassedOver:
    """Files and folders that are no videos."""

    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    """Number of skipped files by ending and reason."""
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def note(self, path: str, why: str) -> None:
        """Count `path`, a path in the archive; a folder's ends in a slash."""
        kind = ("folder" if path.endswith("/") else suffix_of(path) or "no ending", why)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        names = self.examples.setdefault(kind, [])
        if len(names) < EXAMPLES:
            names.append(path)

    def add(self, other: PassedOver) -> None:
        """Count what `other` counted too."""
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
            names = self.examples.setdefault(kind, [])
            names.extend(other.examples[kind][: EXAMPLES - len(names)])

    @property
    def total(self) -> int:
        """Number of skipped files."""
        return sum(self.kinds.values())

    def rows(self) -> list[dict[str, Any]]:
        """Rows for the run record, most frequent first."""
        kinds = sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))
        return [
            {"ending": kind[0], "why": kind[1], "count": count, "names": self.examples[kind]} for kind, count in kinds
        ]

    def lines(self) -> Iterator[str]:
        """Sentences for people, most frequent first."""
        return passed_lines(self.rows())


def passed_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Rows of a record as text: `passed over: 7 .jpg (still of a video): gate/01.jpg, …`."""
    for row in rows:
        more = ", …" if row["count"] > len(row["names"]) else ""
        names = ", ".join(map(_on_a_line, row["names"]))
        yield f"passed over: {row['count']:,} {row['ending']} ({row['why']}): {names}{more}"


def _on_a_line(name: str) -> str:
    """A name on one line of a terminal."""
    return name if name.isprintable() else repr(name)
