"""Cameras and dates in paths."""

from __future__ import annotations

from datetime import date

import pytest

from hf2vad.archive.path_filter import PathFilter, parse_day
from hf2vad.errors import ConfigError

NIGHT = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("pattern", "folder", "entered"),
    [
        ("{camera}/{date}/*", "gate", True),
        ("{camera}/{date}/*", "yard", False),
        ("{camera}/{date}/*", "gate/2026-11-24", True),
        ("{camera}/{date}/*", "gate/20261124", True),
        ("{camera}/{date}/*", "gate/2026-11-23", False),
        ("{camera}/{date}/*", "gate/2026-13-40", False),
        ("{camera}/{date}/*", "gate/notes", False),
        ("{camera}/{date}/*", "gate/2026-11-24/morning", True),
        ("{year}/{month}/{day}/{camera}", "2026", True),
        ("{year}/{month}/{day}/{camera}", "2025", False),
        ("{year}/{month}/{day}/{camera}", "2026/11", True),
        ("{year}/{month}/{day}/{camera}", "2026/10", False),
        ("{year}/{month}/{day}/{camera}", "2026/11/24", True),
        ("{year}/{month}/{day}/{camera}", "2026/11/25", False),
        ("{year}/{month}/{day}/{camera}", "2026/11/24/gate", True),
        ("{year}/{month}/{day}/{camera}", "2026/11/24/yard", False),
    ],
)
def test_only_folders_that_can_hold_the_night_are_entered(pattern: str, folder: str, entered: bool) -> None:
    assert PathFilter(pattern, ("gate",), NIGHT, NIGHT).enters(folder) is entered


@pytest.mark.parametrize(
    ("video", "held"),
    [
        ("gate/2026-11-24T01.mp4", True),
        ("gate/2026-11-23T23.mp4", False),
        ("gate/today.mp4", False),
        ("gate", False),
        ("gate/2026-11-24T01.mp4/more", True),
    ],
)
def test_dates_in_file_names(video: str, held: bool) -> None:
    assert PathFilter("{camera}/{date}T*", (), NIGHT, NIGHT).holds(video) is held


def test_without_a_pattern_everything_is_wanted() -> None:
    scope = PathFilter()
    assert scope.enters("any/where")
    assert scope.holds("any/where/a.mp4")


def test_names_are_data_and_no_patterns() -> None:
    assert PathFilter("{camera}/a.b*").holds("x\ny/a.b\nc")
    assert not PathFilter("{camera}/a.b*").holds("x/aXb")
    assert PathFilter("{camera}/*", ("(.*",)).holds("(.*/a.mp4")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cameras": ("gate",)}, "--cameras needs a --pattern with {camera}"),
        ({"pattern": "{camera}/*", "since": NIGHT}, "need a --pattern with {date} or {year}"),
        ({"pattern": "{date}/{date}"}, "has {date} twice"),
        ({"pattern": "{date}", "since": NIGHT, "until": date(2026, 1, 1)}, "is after --until"),
    ],
)
def test_what_a_pattern_cannot_say_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PathFilter(**values)  # type: ignore[arg-type]


def test_a_day_that_is_none_is_refused() -> None:
    assert parse_day("", "--since") is None
    assert parse_day("2026-11-24", "--since") == NIGHT
    with pytest.raises(ConfigError, match="--since must be a day such as 2026-11-24, got 'yesterday'"):
        parse_day("yesterday", "--since")


@pytest.mark.parametrize(
    ("pattern", "depth", "path", "days"),
    [
        ("{camera}/{date}/*", 2, "gate/2026-11-24", (NIGHT, NIGHT)),
        ("{camera}/{date}/*", 2, "gate/2026-11-24/late.mp4", (NIGHT, NIGHT)),
        ("{camera}/{date}/*", 2, "gate/notes", None),
        ("{camera}/{date}T*", 2, "gate/20261124T01.mp4", (NIGHT, NIGHT)),
        ("{year}/{month}/{day}/*", 3, "2026/11/24", (NIGHT, NIGHT)),
        ("{year}-{month}/{camera}", 1, "2026-11", (date(2026, 11, 1), date(2026, 11, 30))),
        ("{camera}/*", 0, "gate/x", None),
        ("{day}/*", 0, "24/x", None),
    ],
)
def test_days_are_known_after_some_parts_of_a_path(
    pattern: str, depth: int, path: str, days: tuple[date, date] | None
) -> None:
    scope = PathFilter(pattern)
    assert scope.depth == depth
    assert scope.days_of(path) == days
    assert days is None or scope.on(days).enters(path)
    if depth:
        assert PathFilter(pattern, since=date(2027, 1, 1)).days_of(path) is None
