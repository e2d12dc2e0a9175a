"""A part of an archive, by what its paths say of camera and day, so that a night lists a night and not ten years."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date

from hf2vad.archive.pattern import Days, PathFields, PathPattern
from hf2vad.errors import ConfigError


@dataclass(frozen=True)
class PathFilter:
    """Filter for the videos of an archive by their paths."""

    pattern: str = ""
    """Path pattern, as PathPattern reads it. Empty: every video passes."""
    cameras: tuple[str, ...] = ()
    """Empty: all."""
    since: date | None = None
    until: date | None = None
    """The last day that is wanted."""
    paths: PathPattern = field(init=False, repr=False, compare=False)
    """Reader of paths for this pattern."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a pattern that does not say what is asked for."""
        object.__setattr__(self, "paths", PathPattern(self.pattern))
        names = self.paths.names
        if self.cameras and "camera" not in names:
            raise ConfigError(f"--cameras needs a --pattern with {{camera}}, got {self.pattern!r}")
        if (self.since or self.until) and not {"date", "year"} & names:
            raise ConfigError(f"--since and --until need a --pattern with {{date}} or {{year}}, got {self.pattern!r}")
        if self.since and self.until and self.since > self.until:
            raise ConfigError(f"--since {self.since} is after --until {self.until}")

    @property
    def depth(self) -> int:
        """Parts of a path after which its days are known; 0: the pattern says nothing of them."""
        return self.paths.depth

    def on(self, days: Days) -> PathFilter:
        """Copy of this filter that passes only `days`."""
        return replace(self, since=days[0], until=days[1])

    def days_of(self, path: str) -> Days | None:
        """The days of a path that is wanted as far as it goes; None where it is not, or does not say them."""
        fields = self.paths.read_beginning(path)
        return fields.days if fields and self._wanted(fields) else None

    def enters(self, folder: str) -> bool:
        """True if `folder`, a path in the archive, can contain videos that pass."""
        return self._wanted(self.paths.read_beginning(folder))

    def holds(self, path: str) -> bool:
        """True if the video at this path in the archive passes. A path that the pattern does not fit never does."""
        return not self.pattern or self._wanted(self.paths.read(path))

    def check_fits(self, paths: Iterable[str]) -> None:
        """Raise ConfigError where the pattern fits none of `paths`, or --cameras and the days leave none of them."""
        example = ""
        for path in paths:
            if not self.pattern or self.holds(path):
                return
            example = path if self.paths.read(path) is not None else example or path
        if example and self.paths.read(example) is None:
            raise ConfigError(f"--pattern {self.pattern!r} fits no video, such as {example!r}")
        if example:
            raise ConfigError(f"--cameras, --since and --until leave no video of {self.pattern!r}, such as {example!r}")

    def _wanted(self, fields: PathFields | None) -> bool:
        if fields is None or (self.cameras and fields.camera and fields.camera not in self.cameras):
            return False
        days = fields.days
        if days is None:
            return not fields.dated
        return not ((self.since and days[1] < self.since) or (self.until and days[0] > self.until))


@dataclass(frozen=True, kw_only=True)
class PathFilterSettings:
    """Settings of jobs that take a part of an archive by what its paths say."""

    pattern: str = ""
    """Pattern of video paths, such as {camera}/{date}/*. Only folders that can contain matching videos are listed.
    {date} is 2026-11-24 or 20261124; {year}, {month}, {day} are digits; other names, and *, match any text."""

    cameras: tuple[str, ...] = ()
    """Only these; needs {camera} in --pattern."""

    since: str = ""
    """Only from this day on, such as 2026-11-24; needs {date} or {year} in --pattern."""

    until: str = ""
    """Only up to this day."""

    @property
    def scope(self) -> PathFilter:
        """Filter for the requested part of the archive. Raises ConfigError if the pattern lacks a name that the request
        needs."""
        days = parse_day(self.since, "--since"), parse_day(self.until, "--until")
        return PathFilter(self.pattern, self.cameras, *days)


def parse_day(text: str, option: str) -> date | None:
    """A day such as 2026-11-24; none for an empty text. Raises ConfigError for anything else."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} must be a day such as 2026-11-24, got {text!r}") from None
