"""Joined tables: what readers see while days are joined anew, killed joiners, and which videos a day is."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.partitions import Partitions
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import NotFoundError, SchemaError
from hf2vad.runs.compact import camera_days
from hf2vad.schema import TABLES, pack_metadata
from hf2vad.storage import delete, join, list_files, put_table, read_json, read_table
from hf2vad.tables import compact as joining
from hf2vad.tables.compact import JOINED, CameraDay, Piece, compact

ROWS = {"frames": 40, "objects": 25, "events": 2, "health": 0}
SECTIONS = Partitions((ArchiveRef("", "unused"),), PathFilter("{camera}/{date}/*"))


def made(table: str, video: str, version: float, rows: int) -> pa.Table:
    """A table of `video` that says `version` in every row that can."""
    columns = []
    for field in TABLES[table]:
        if field.name == "video":
            columns.append(pa.array([video] * rows, pa.string()))
        elif field.type == pa.string():
            columns.append(pa.nulls(rows, pa.string()))
        elif field.name in ("frame", "event"):
            columns.append(pa.array(np.arange(rows, dtype=np.int32)))
        else:
            columns.append(pa.array(np.full(rows, version)).cast(field.type))
    return pa.Table.from_arrays(columns, schema=TABLES[table].with_metadata(pack_metadata(table, {"video": video})))


def put_video(prefix: str, video: str, version: float, rows: dict[str, int] = ROWS) -> None:
    """As a video is closed: the frame table goes first and comes last."""
    with contextlib.suppress(NotFoundError):  # the bucket appears with its first object
        delete(join(prefix, "frames", f"{video}.parquet"))
    for table in ("health", "objects", "events", "frames"):
        put_table(join(prefix, table, f"{video}.parquet"), made(table, video, version, rows[table]))


def join_all(prefix: str, sections: Partitions = SECTIONS, grace_s: float = 60.0) -> list[dict[str, int]]:
    return [compact(day, grace_s=grace_s) for day in camera_days(prefix, sections)]


def indexes(prefix: str) -> Iterator[dict[str, Any]]:
    for entry in list_files(join(prefix, "compact", "index"), ".json"):
        yield read_json(entry.uri)


def joined(prefix: str, table: str) -> pa.Table:
    """What a reader gets who goes by the indexes."""
    return pa.concat_tables([read_table(join(prefix, index[table])) for index in indexes(prefix)])


@pytest.fixture(params=["local", "s3"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "bundle=x")
    request.getfixturevalue("s3")
    return f"s3://compact/{tmp_path.name}/bundle=x"


NIGHT = ("gate/2026-11-23/a.mp4", "gate/2026-11-24/a.mp4", "gate/2026-11-24/b c.mp4", "yard/2026-11-24/seq")


def test_a_cameras_day_becomes_one_file_a_table_with_the_same_rows_in_the_order_of_videos(prefix: str) -> None:
    for video in NIGHT:
        put_video(prefix, video, 1.0)
    counts = join_all(prefix)
    assert [one["joined_days"] for one in counts] == [1, 1, 1]
    found = {(index["camera"], index["date"]): index for index in indexes(prefix)}
    assert sorted(found) == [("gate", "2026-11-23"), ("gate", "2026-11-24"), ("yard", "2026-11-24")]
    night = found["gate", "2026-11-24"]
    assert (night["videos"], night["rows"], night["replaced"]) == (
        2,
        {name: 2 * rows for name, rows in ROWS.items()},
        [],
    )
    for table in JOINED:
        whole = joined(prefix, table)
        single = [read_table(join(prefix, table, f"{video}.parquet")) for video in NIGHT]
        assert whole.replace_schema_metadata(None).equals(pa.concat_tables(single).replace_schema_metadata(None))
    assert join_all(prefix) == [{"joined_days": 0}] * 3


def test_row_groups_have_one_size_whatever_the_videos_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "ROWS", 64)
    prefix = str(tmp_path)
    for name, rows in (("a", 10), ("b", 200), ("c", 0), ("d", 46)):
        put_video(prefix, f"gate/2026-11-24/{name}", 1.0, {**ROWS, "frames": rows})
    join_all(prefix)
    (index,) = indexes(prefix)
    file = pq.ParquetFile(tmp_path / index["frames"])
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [64, 64, 64, 64]


def test_a_day_is_joined_anew_when_a_video_of_it_was_made_anew_and_old_files_go_after_their_time(prefix: str) -> None:
    for video in NIGHT:
        put_video(prefix, video, 1.0)
    join_all(prefix)
    before = {index["date"] + index["camera"]: index for index in indexes(prefix)}
    put_video(prefix, NIGHT[2], 2.0)
    assert [one["joined_days"] for one in join_all(prefix)] == [0, 1, 0]
    scores = joined(prefix, "frames")
    assert scores["score"].to_pylist() == [1.0] * 80 + [2.0] * 40 + [1.0] * 40
    (now,) = (index for index in indexes(prefix) if index["replaced"])
    old = [one["file"] for one in now["replaced"]]
    assert old == [before["2026-11-24gate"][table] for table in ("frames", "objects", "events")]
    assert read_table(join(prefix, old[0])).num_rows == 80, "it is still there for whoever knows it"
    assert now["health"] == before["2026-11-24gate"]["health"], "the same rows are the same file"
    assert [one["joined_days"] for one in join_all(prefix, grace_s=0.0)] == [0, 0, 0]
    assert all(index["replaced"] == [] for index in indexes(prefix))
    left = {join("compact", entry.name) for entry in list_files(join(prefix, "compact"))}
    assert {name for name in left if not name.endswith(".json")} == {
        index[table] for index in indexes(prefix) for table in JOINED
    }


@pytest.mark.slow
def test_readers_never_see_half_of_a_day_nor_a_row_twice(prefix: str) -> None:
    """One remakes videos and joins them anew; others read by the index all the time, some of them slowly."""
    videos = NIGHT[1:3]
    for video in videos:
        put_video(prefix, video, 0.0)
    join_all(prefix)
    wrong: list[str] = []
    read = [0, 0]
    over = threading.Event()

    def reader(number: int, wait: float) -> None:
        while not over.is_set():
            for index in indexes(prefix):
                time.sleep(wait)
                tables = {table: read_table(join(prefix, index[table])) for table in JOINED}
                for table, column in (("frames", "score"), ("objects", "score"), ("events", "peak_score")):
                    rows = (
                        tables[table].group_by("video").aggregate([(column, "min"), (column, "max"), (column, "count")])
                    )
                    for row in rows.to_pylist():
                        seen = (row[f"{column}_count"], row[f"{column}_min"] == row[f"{column}_max"])
                        if seen != (ROWS[table], True) or len(rows) != 2:
                            wrong.append(f"{table}: {row}")
                versions = [sorted(set(tables[t]["score"].to_pylist())) for t in ("frames", "objects")]
                if versions[0] != versions[1]:
                    wrong.append(f"frames and objects are of different times: {versions}")
                read[number] += 1

    def guarded(number: int, wait: float) -> None:
        try:
            reader(number, wait)
        except Exception as error:
            wrong.append(repr(error))

    readers = [threading.Thread(target=guarded, args=(number, 0.05 * number)) for number in (0, 1)]
    for thread in readers:
        thread.start()
    rounds = 0
    while not wrong and (rounds < 8 or min(read) < 8):
        rounds += 1
        put_video(prefix, videos[rounds % 2], float(rounds))
        join_all(prefix)
    over.set()
    for thread in readers:
        thread.join()
    assert not wrong, wrong[:3]


REMAKE = """
import sys
from tests.unit.test_compact import NIGHT, join_all, put_video
for version in range(10_000):
    put_video(sys.argv[1], NIGHT[1 + version % 2], float(version))
    join_all(sys.argv[1])
    print(version, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_indexes_name_whole_files_and_the_next_time_ends_the_same(tmp_path: Path) -> None:
    prefix = str(tmp_path / "killed")
    for video in NIGHT:
        put_video(prefix, video, 0.0)
    join_all(prefix)
    chance = random.Random(5)
    root = Path(__file__).parents[2]
    for _ in range(4):
        command = [sys.executable, "-c", REMAKE, prefix]
        env = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=root) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"
            time.sleep(chance.random() * 0.2)
            process.kill()
        for index in indexes(prefix):
            for table in JOINED:
                assert read_table(join(prefix, index[table])).num_rows == index["rows"][table]
    clean = str(tmp_path / "clean")
    for number, video in enumerate(NIGHT):
        for place in (prefix, clean):
            put_video(place, video, 7.0 + number)
    join_all(clean)
    join_all(prefix, grace_s=0.0)
    join_all(prefix, grace_s=0.0)
    found = [
        {e.name: Path(e.uri).read_bytes() for e in list_files(f"{one}/compact") if not e.name.startswith("index/")}
        for one in (prefix, clean)
    ]
    assert found[0] == found[1]


def test_tables_that_are_made_anew_meanwhile_are_left_for_the_next_time(tmp_path: Path) -> None:
    prefix = str(tmp_path)
    put_video(prefix, NIGHT[0], 1.0)
    (day,) = camera_days(prefix, SECTIONS)
    put_video(prefix, NIGHT[0], 2.0)
    assert compact(day) == {"days_changing": 1}
    delete(join(prefix, "frames", f"{NIGHT[0]}.parquet"))
    assert compact(day) == {"days_changing": 1}
    assert not (tmp_path / "compact" / "index").exists()


def test_a_table_of_another_release_is_named(tmp_path: Path) -> None:
    prefix = str(tmp_path)
    put_video(prefix, NIGHT[0], 1.0)
    odd = made("frames", NIGHT[0], 1.0, 4).drop_columns(["health"])
    put_table(join(prefix, "frames", f"{NIGHT[0]}.parquet"), odd)
    with pytest.raises(SchemaError, match=r"a\.mp4\.parquet: its columns are those of another release"):
        join_all(prefix)


@pytest.mark.parametrize(
    ("pattern", "sources", "expected"),
    [
        ("{camera}/{date}/*", ("",), {("gate", "2026-11-24"): 2, ("gate=1/é", "2026-11-24"): 0}),
        ("{camera}/{date}/*", ("north", "south"), {("north/gate", "2026-11-24"): 2, ("south/gate", "2026-11-24"): 2}),
        ("*/{date}/*", ("",), {("all", "2026-11-24"): 2}),
        ("*/{year}-{month}-*/*", ("north",), {("north", "2026-11"): 2}),
        ("*/*/{camera}-{date}.mp4", ("",), {}),
    ],
)
def test_cameras_and_days_are_what_the_pattern_says(
    pattern: str, sources: tuple[str, ...], expected: dict[tuple[str, str], int], tmp_path: Path
) -> None:
    for name in sources:
        for video in NIGHT[1:3]:
            put_video(str(tmp_path), f"{name}/{video}".strip("/"), 1.0)
    sections = Partitions(tuple(ArchiveRef(name, "unused") for name in sources), PathFilter(pattern))
    found = {(day.camera, day.date): len(day.pieces) for day in camera_days(str(tmp_path), sections)}
    assert found == {day: count for day, count in expected.items() if count}


def test_odd_cameras_are_folders_that_pyarrow_reads_back(tmp_path: Path) -> None:
    camera = "a=b/c d%é"
    put_video(str(tmp_path), "x", 1.0)
    (version,) = (entry.version for entry in list_files(str(tmp_path / "frames")))
    compact(CameraDay(str(tmp_path), camera, "2026-11-24", (Piece("x.parquet", version),)))
    found = ds.dataset(tmp_path / "compact" / "frames", partitioning="hive").to_table()
    assert set(found["camera"].to_pylist()) == {camera}
    (index,) = (tmp_path / "compact" / "index").rglob("*.json")
    assert json.loads(index.read_text())["camera"] == camera
