"""Tables by what their keys say, and by what tables say themselves where keys were shortened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.partitions import Partitions
from hf2vad.archive.path_filter import PathFilter
from hf2vad.runs.compact import camera_days
from hf2vad.storage import Entry, join, key_path, list_dir, open_parquet, put_bytes, put_table
from hf2vad.tables import keys as tables_keys
from hf2vad.tables.compact import compact
from hf2vad.tables.keys import TableTree
from tests.unit.test_compact import joined, made

CAMERA = "駅前商店街北口防犯カメラ第三十二号機夜間赤外線用"
"""24 characters, 216 bytes as a part of a key, which is shortened."""
LONG = "/".join(["非常に長い道" * 2] * 6)
"""Below it a key is longer than 600 bytes, and shortened as a whole."""
PATTERN = "{camera}/{date}/*"
NIGHTS = [f"{camera}/2026-11-{day}/a.mp4" for camera in ("gate", CAMERA) for day in (23, 24)]


def put(prefix: Path, *videos: str) -> None:
    for video in videos:
        for table in ("frames", "objects", "events", "health"):
            rows = 3 if table == "frames" else 0
            put_table(join(str(prefix), table, f"{key_path(video)}.parquet"), made(table, video, 1.0, rows))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Folders that were listed, and tables that were opened, by the last part of their URIs."""
    counts: Counter[str] = Counter()

    def counted_listing(uri: str) -> Iterator[Entry]:
        counts[uri.rsplit("/", 1)[-1]] += 1
        return list_dir(uri)

    def counted_opening(uri: str) -> object:
        counts["opened"] += 1
        return open_parquet(uri)

    monkeypatch.setattr(tables_keys, "list_dir", counted_listing)
    monkeypatch.setattr(tables_keys, "open_parquet", counted_opening)
    return counts


def days(prefix: Path, scope: PathFilter, *sources: str) -> dict[tuple[str, str], int]:
    sections = Partitions(tuple(ArchiveRef(name, "unused") for name in sources or ("",)), scope)
    return {(day.camera, day.date): len(day.pieces) for day in camera_days(str(prefix), sections)}


@pytest.mark.parametrize("source", ["", "north"])
def test_the_tables_of_a_camera_with_a_long_name_are_joined_under_its_name(tmp_path: Path, source: str) -> None:
    put(tmp_path, *("/".join(filter(None, (source, video))) for video in NIGHTS))
    cameras = ["/".join(filter(None, (source, camera))) for camera in ("gate", CAMERA)]
    every = {(camera, f"2026-11-{day}"): 1 for camera in cameras for day in (23, 24)}
    assert days(tmp_path, PathFilter(PATTERN), source) == every
    chosen = days(tmp_path, PathFilter(PATTERN, (CAMERA,), date(2026, 11, 24)), source)
    assert chosen == {(cameras[1], "2026-11-24"): 1}


def test_all_rows_are_joined_once_whatever_is_shortened(tmp_path: Path) -> None:
    videos = [
        *NIGHTS,
        f"gate/2026-11-24/{CAMERA}.mp4",
        f"gate/2026-11-24/{LONG}/b.mp4",
        f"gate/2026-11-25/{LONG}/b.mp4",
    ]
    put(tmp_path, *videos)
    assert {key_path(video)[0] for video in videos[-2:]} == {"~"}
    for day in camera_days(str(tmp_path), Partitions((ArchiveRef("", "unused"),), PathFilter(PATTERN))):
        compact(day)
    assert Counter(joined(str(tmp_path), "frames")["video"].to_pylist()) == dict.fromkeys(videos, 3)
    assert days(tmp_path, PathFilter(PATTERN))["gate", "2026-11-24"] == 3


def test_keys_that_were_shortened_as_a_whole_belong_to_the_archive_that_their_ids_name(tmp_path: Path) -> None:
    put(tmp_path, *(f"{source}/gate/2026-11-24/{LONG}/b.mp4" for source in ("north", "south", "south-2")))
    expected = {(f"{source}/gate", "2026-11-24"): 1 for source in ("north", "south")}
    assert days(tmp_path, PathFilter(PATTERN), "north", "south") == expected


def test_a_shortened_folder_is_named_by_one_table_and_entered_only_where_it_is_wanted(
    tmp_path: Path, listed: Counter[str]
) -> None:
    put(tmp_path, *NIGHTS)
    night = PathFilter(PATTERN, since=date(2026, 11, 24))
    found = list(TableTree(str(tmp_path), "frames").keys(night))
    assert found == [f"{key_path(video)}.parquet" for video in sorted((NIGHTS[1], NIGHTS[3]), key=key_path)]
    assert listed["opened"] == 1
    assert listed["2026-11-23"] == 0
    assert (
        list(TableTree(str(tmp_path), "frames").keys(PathFilter(PATTERN, ("gate",), date(2026, 11, 24)))) == found[1:]
    )


def test_names_of_archives_are_no_cameras(tmp_path: Path) -> None:
    put(tmp_path, *(f"{source}/{video}" for source in ("north", "gate") for video in NIGHTS[:2]))
    tree = TableTree(str(tmp_path), "frames", ["north", "gate"])
    assert list(tree.keys(PathFilter(PATTERN, ("gate",), date(2026, 11, 24)))) == [
        f"{source}/gate/2026-11-24/a.mp4.parquet" for source in ("gate", "north")
    ]


def test_an_unreadable_table_costs_its_own_day(tmp_path: Path) -> None:
    put(tmp_path, *NIGHTS)
    torn = f"{key_path(CAMERA.replace('三', '四'))}/2026-11-24/a.mp4.parquet"
    put_bytes(join(str(tmp_path), "frames", torn), b"no table")
    found = days(tmp_path, PathFilter(PATTERN))
    assert found.pop((torn.split("/")[0], "2026-11-24")) == 1
    assert found == {(camera, f"2026-11-{day}"): 1 for camera in ("gate", CAMERA) for day in (23, 24)}
