"""Unhealthy footage through the scoring job: what its tables say, and that events look away from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hf2vad.schema import HEALTH
from tests import unwell
from tests.site import Site, last_run, run_job

ALWAYS = ("--events.threshold=-1e9", "--events.low=-1e9", "--events.min-length=1", "--events.merge-gap=0")
"""Every frame with a score is part of an event, so that an event ends only where it must."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unwell")
    unwell.write(folder / "black.mp4", unwell.replaced(80, 120, 4)[:140])
    unwell.write(folder / "frozen.mp4", unwell.frozen(40, 110)[:140])
    unwell.write(folder / "moved.mp4", unwell.moved(80, 30, 12)[:160])
    unwell.write(folder / "normal.mp4", unwell.normal()[:100])
    return folder


def score(site: Site, archive: Path, out: Path, *more: object) -> Path:
    run_job("score_archive", "--archive", archive, "--bundle", site.bundle, "--out", out, *ALWAYS, *more)
    (found,) = out.glob("bundle=*")
    return found


@pytest.fixture(scope="module")
def scored(site: Site, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return score(site, archive, tmp_path_factory.mktemp("scores"), "--shard-frames", 37)


def rows(scored: Path, table: str, video: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(scored / table / f"{video}.mp4.parquet").to_pylist()
    return found


def unhealthy(scored: Path, video: str) -> set[int]:
    return {row["frame"] for row in rows(scored, "frames", video) if row["health"] is not None}


def in_events(scored: Path, video: str) -> set[int]:
    return {t for row in rows(scored, "events", video) for t in range(row["start_frame"], row["end_frame"] + 1)}


def test_each_video_has_a_health_table_and_a_healthy_one_has_no_row_in_it(scored: Path) -> None:
    found = {video: rows(scored, "health", video) for video in ("black", "frozen", "moved", "normal")}
    assert pq.read_schema(scored / "health" / "black.mp4.parquet").remove_metadata().equals(HEALTH)
    spans = {video: [(r["kind"], r["start_frame"], r["stop_frame"]) for r in rows] for video, rows in found.items()}
    assert spans["black"] == [("black", 80, 120)]
    assert spans["frozen"] == [("frozen", 40, 110)]
    assert spans["normal"] == []
    ((kind, start, stop),) = spans["moved"]
    assert kind == "moved"
    assert 64 <= start <= 80 < stop <= 96


def test_the_frames_table_marks_the_frames_whose_cubes_have_seen_it(scored: Path) -> None:
    assert unhealthy(scored, "black") == set(range(79, 124))
    assert unhealthy(scored, "frozen") == set(range(39, 114))
    assert unhealthy(scored, "normal") == set()
    assert {row["health"] for row in rows(scored, "frames", "black")} == {None, "black"}


def test_events_neither_start_nor_extend_there(scored: Path) -> None:
    for video, frames in (("black", 140), ("frozen", 140), ("moved", 160), ("normal", 100)):
        assert in_events(scored, video) == set(range(4, frames)) - unhealthy(scored, video)


def test_the_run_counts_them(scored: Path) -> None:
    record = last_run(scored.parent)
    marked = sum(len(unhealthy(scored, video)) for video in ("black", "frozen", "moved"))
    assert record["unhealthy_frames"] == marked
    assert [record[f"unhealthy_{kind}"] for kind in ("black", "frozen", "moved")] == [1, 1, 1]


def test_what_shards_noted_is_removed_when_the_video_is_done(scored: Path) -> None:
    assert not [path for path in (scored / "looks").rglob("*") if path.is_file()]


def test_shards_do_not_show_and_a_setting_lets_events_through(site: Site, archive: Path, scored: Path) -> None:
    out = scored.parent.with_name("through")
    other = score(site, archive, out, "--shard-frames", 90, "--events.on-unhealthy")
    for video, frames in (("black", 140), ("frozen", 140), ("moved", 160), ("normal", 100)):
        assert rows(other, "health", video) == rows(scored, "health", video)
        assert unhealthy(other, video) == unhealthy(scored, video)
        assert in_events(other, video) == set(range(4, frames))
