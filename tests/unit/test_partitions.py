"""Several archives in one run, and days one by one: what is listed, in which order, and what is known of it."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from hf2vad.archive import catalog
from hf2vad.archive.archive_refs import ArchiveRef, parse_archives
from hf2vad.archive.partitions import Order, Partitions
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import ConfigError
from hf2vad.storage import ahead, list_dir
from hf2vad.walk import markers
from hf2vad.walk.markers import Marks, PartitionIndex

STATE = "0123456789abcdef"
BY_DAY = PathFilter("{camera}/{date}/*")
NIGHTS = [f"{camera}/{day}/{name}.mp4" for camera in ("gate", "yard") for day in (21, 22, 23) for name in "ab"]
NIGHTS = [name.replace("/2", "/2026-11-2") for name in NIGHTS]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    images = [f"gate/2026-11-23/seq/{number}.png" for number in range(5)]
    for name in (*NIGHTS, "gate/notes/x.mp4", *images, "late/2026-12-01/z.mp4"):
        path = tmp_path / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    return tmp_path / "archive"


def ids(sections: Partitions) -> list[str]:
    return [video.id for video in sections.videos()]


def test_newest_and_oldest_go_day_by_day_and_within_a_day_by_name(archive: Path) -> None:
    sources = parse_archives([str(archive)])
    newest = ids(Partitions(sources, BY_DAY, "newest"))
    third = ["gate/2026-11-23/a.mp4", "gate/2026-11-23/b.mp4", "gate/2026-11-23/seq", "yard/2026-11-23/a.mp4"]
    assert newest[:5] == ["late/2026-12-01/z.mp4", *third]
    oldest = ids(Partitions(sources, BY_DAY, "oldest"))
    days = [name.split("/")[1] for name in oldest]
    assert days == sorted(days)
    by_name = ids(Partitions(sources, BY_DAY))
    assert sorted(newest) == sorted(oldest) == sorted(by_name)
    assert by_name == sorted(by_name)
    few = Partitions(sources, PathFilter("{camera}/{date}/*", ("yard",), date(2026, 11, 22)), "newest")
    assert [name.split("/")[1] for name in ids(few)] == ["2026-11-23"] * 2 + ["2026-11-22"] * 2


@pytest.mark.parametrize(
    "pattern", ["{year}/{month}/{day}/{camera}", "{year}/{month}/*", "{camera}-{date}", "{year}/*"]
)
def test_days_are_found_wherever_the_pattern_has_them(pattern: str, tmp_path: Path) -> None:
    for day in ("2025-02-01", "2026-01-31", "2026-02-01"):
        path = tmp_path / pattern.format(year=day[:4], month=day[5:7], day=day[8:], camera="gate", date=day) / "x.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sections = Partitions(parse_archives([str(tmp_path)]), PathFilter(pattern), "newest")
    found = ids(sections)
    assert found == sorted(found, reverse=True)
    assert len(found) == (2 if pattern == "{year}/*" else 3)


def test_only_the_days_are_held_and_every_folder_is_listed_once_when_its_turn_comes(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: Counter[str] = Counter()

    def counted(uri: str) -> object:
        listed[str(Path(uri).relative_to(archive))] += 1
        return list_dir(uri)

    monkeypatch.setattr(catalog, "list_dir", counted)
    monkeypatch.setattr(ahead, "list_dir", counted)
    found = Partitions(parse_archives([str(archive)]), BY_DAY, "newest").videos()
    assert next(found).id == "late/2026-12-01/z.mp4"
    assert not [name for name in listed if "2026-11" in name]
    rest = list(found)
    assert len(rest) == 13
    assert set(listed.values()) == {1}, "those above the days too"


def test_where_file_names_say_the_day_each_day_lists_their_folder_and_nothing_else_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        *(f"gate/2026-11-2{day}T{hour}.mp4" for day in (1, 2, 3) for hour in "123"),
        "gate/2026-11-22/x.mp4",
        "gate/notes.txt",
        "yard/2026-11-22/a.mp4",
        "yard/2026-11-22/b.txt",
        "yard/.trash/2026-11-22.mp4",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed: Counter[str] = Counter()

    def counted(uri: str) -> object:
        listed[str(Path(uri).relative_to(tmp_path))] += 1
        return list_dir(uri)

    monkeypatch.setattr(catalog, "list_dir", counted)
    monkeypatch.setattr(ahead, "list_dir", counted)
    passed = PassedOver()
    sections = Partitions(parse_archives([str(tmp_path)]), PathFilter("{camera}/{date}*"), "newest")
    found = [video.id for video in sections.videos(passed)]
    second = ["gate/2026-11-22/x.mp4", *(f"gate/2026-11-22T{hour}.mp4" for hour in "123"), "yard/2026-11-22/a.mp4"]
    assert found[3:8] == second
    assert len(found) == 11
    assert listed == {".": 1, "gate": 1 + 3, "gate/2026-11-22": 1, "yard": 1, "yard/2026-11-22": 1}
    counts = {(row["ending"], row["why"]): row["count"] for row in passed.rows()}
    assert counts == {(".txt", "not a video"): 2, ("folder", "hidden"): 1}, "each once, however many days there are"


def test_of_several_archives_ids_begin_with_the_name(archive: Path) -> None:
    sources = parse_archives([f"north={archive}", f"south={archive / 'gate'}"])
    videos = list(Partitions(sources, include=("a.mp4",)).videos())
    assert [video.id for video in videos[:2]] == ["north/gate/2026-11-21/a.mp4", "north/gate/2026-11-22/a.mp4"]
    assert [video.id for video in videos[-3:]] == [f"south/2026-11-2{n}/a.mp4" for n in (1, 2, 3)]
    assert videos[-1].uri == str(archive / "gate/2026-11-23/a.mp4")
    assert len({video.id for video in videos}) == 9
    assert [(video.source, video.path) for video in videos[-2:]] == [("south", f"2026-11-2{n}/a.mp4") for n in (2, 3)]
    alone = next(Partitions(parse_archives([str(archive)])).videos())
    assert (alone.source, alone.path) == ("", alone.id)


@pytest.mark.parametrize("order", ["name", "oldest", "newest"])
@pytest.mark.parametrize("sources", [("",), ("north",), ("north", "south")])
def test_what_is_finished_is_known_in_every_order_and_of_every_archive(
    order: Order, sources: tuple[str, ...], archive: Path, tmp_path: Path
) -> None:
    sections = Partitions(tuple(ArchiveRef(name, str(archive)) for name in sources), BY_DAY, order)
    marks = Marks(str(tmp_path / "done"))
    expected = {}
    for number, video in enumerate(sections.videos()):
        expected[video.id] = (None, "finished", "failed")[number % 3]
        if number % 3:
            marks.put(video, STATE, failed=number % 3 == 2)
    finished = PartitionIndex(marks, sections)
    assert {video.id: finished.find(video, STATE) for video in sections.videos()} == expected


def test_marks_too_are_read_a_day_at_a_time(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = Partitions(parse_archives([f"north={archive}"]), BY_DAY, "newest")
    marks = Marks(str(tmp_path / "done"))
    videos = list(sections.videos())
    for video in videos:
        marks.put(video, STATE, failed=False)
    listed: list[str] = []

    def noted(uri: str) -> object:
        listed.append(str(Path(uri).relative_to(tmp_path / "done")))
        return list_dir(uri)

    monkeypatch.setattr(markers, "list_dir", noted)
    monkeypatch.setattr(ahead, "list_dir", noted)
    finished = PartitionIndex(marks, sections)
    newest = [video for video in videos if "/2026-12-01/" in video.id or "/2026-11-23/" in video.id]
    assert {finished.find(video, STATE) for video in newest} == {"finished"}
    below = ["north/gate/2026-11-23", "north/gate/2026-11-23/seq"]
    assert sorted(listed) == [*below, "north/late/2026-12-01", "north/yard/2026-11-23"], "no folder above the days"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a", "b"], "of several archives each needs a name, such as north=/"),
        (["x=a", "b"], "each needs a name"),
        (["x=a", "x=b"], "the name 'x' is there twice"),
    ],
)
def test_archives_that_cannot_be_told_apart_are_refused(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_archives(given)


def test_what_looks_like_a_name_and_what_does_not() -> None:
    given = parse_archives(["north=s3://a/b=c"]), parse_archives(["s3://a/b=c"]), parse_archives(["/mnt/date=1/x"])
    assert [one[0] for one in given] == [ArchiveRef("north", "s3://a/b=c"), ("", "s3://a/b=c"), ("", "/mnt/date=1/x")]


def test_an_order_that_no_path_says_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--order newest needs a --pattern with \{date\} or \{year\}, got '\{camera\}/"
    ):
        Partitions((ArchiveRef("", "a"),), PathFilter("{camera}/*"), "newest")


def test_a_pattern_that_fits_no_video_is_refused_with_one_that_it_does_not_fit(archive: Path) -> None:
    source = ArchiveRef("", str(archive))
    with pytest.raises(ConfigError, match=r"--pattern 'x/\{camera\}/\{date\}/\*' fits no video, such as 'gate/2026-11"):
        Partitions((source,), PathFilter("x/{camera}/{date}/*")).check_pattern()
    Partitions((source,), BY_DAY).check_pattern()
    Partitions((source,), PathFilter("{camera}/{date}/*", since=date(2030, 1, 1))).check_pattern()
    Partitions((source,)).check_pattern()


def test_where_there_is_no_video_yet_no_pattern_is_wrong(tmp_path: Path) -> None:
    Partitions((ArchiveRef("", str(tmp_path)),), PathFilter("x/{camera}/*")).check_pattern()
