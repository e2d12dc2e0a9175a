"""Nights of backfill over an archive that grows, through the job as a scheduler runs it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.site import Site, environment, job, last_run, run_job, tables, wait_until

NIGHTS = ("gate/2026-11-23", "gate/2026-11-24", "yard/2026-11-24")


@pytest.fixture
def archive(site: Site, tmp_path: Path) -> Path:
    """A clip of each night and camera, and one that is no video."""
    clips = sorted(site.test.glob("*.mp4"))
    for night, clip in zip(NIGHTS, clips, strict=True):
        (tmp_path / "archive" / night).mkdir(parents=True)
        shutil.copy(clip, tmp_path / "archive" / night / "a.mp4")
    return tmp_path / "archive"


def arguments(site: Site, archive: Path, *more: object, bundle: Path | None = None) -> tuple[object, ...]:
    """bundle: None for the one that is scored by in least time."""
    places = ("--archive", archive, "--bundle", bundle or site.bundle, "--out", archive.parent / "out")
    common = ("--pattern", "{camera}/{date}/*", "--min-age-minutes", 0, "--shard-frames", 20, "--engine", "eager")
    return (*places, *common, *more)


def figures(out: Path, *names: str) -> tuple[int, ...]:
    record = last_run(out)
    return tuple(record.get(name, 0) for name in names)


def test_nights(site: Site, archive: Path) -> None:
    out = archive.parent / "out"
    run_job("backfill", *arguments(site, archive, "--until", "2026-11-23"))
    assert figures(out, "videos", "shards") == (1, 3)

    (archive / NIGHTS[1] / "torn.mp4").write_bytes(b"no video")
    plan = run_job("backfill", *arguments(site, archive, "--since", "2026-11-24", "--dry-run")).stdout
    assert "new: 'gate/2026-11-24/a.mp4'\nnew: 'gate/2026-11-24/torn.mp4'\nnew: 'yard/2026-11-24/a.mp4'" in plan
    assert "3 new videos" in plan
    assert "hours; 0 finished before" in plan
    assert figures(out, "shards") == (3,)

    run_job("backfill", *arguments(site, archive, "--since", "2026-11-24", "--cameras", "gate"), expect=3)
    assert figures(out, "videos", "shards", "failures") == (2, 3, 1)
    run_job("backfill", *arguments(site, archive, "--tries", 2), expect=3)
    assert figures(out, "videos", "videos_skipped", "shards", "failures", "parked") == (4, 2, 3, 1, 0)
    run_job("backfill", *arguments(site, archive, "--tries", 2), expect=3)
    assert figures(out, "videos", "videos_skipped", "shards", "parked") == (4, 4, 0, 1)

    shutil.copy(archive / NIGHTS[0] / "a.mp4", archive / NIGHTS[1] / "z.mp4")
    run_job("backfill", *arguments(site, archive, "--tries", 2, "--limit", 1), expect=3)
    assert figures(out, "shards", "parked") == (3, 1), "a video that is left alone took the place of a new one"
    (archive / NIGHTS[1] / "torn.mp4").unlink()
    shutil.copy(archive / NIGHTS[0] / "a.mp4", archive / NIGHTS[1] / "torn.mp4")
    run_job("backfill", *arguments(site, archive, "--tries", 2, "--limit", 1))
    assert figures(out, "videos_skipped", "shards") == (2, 3)

    run_job("score_archive", *arguments(site, archive)[:4], "--out", archive.parent / "whole", "--engine", "eager")
    assert tables(out) == tables(archive.parent / "whole")


def test_files_that_are_still_being_written_wait_for_the_next_night(site: Site, archive: Path) -> None:
    os.utime(archive / NIGHTS[0] / "a.mp4", (1_700_000_000, 1_700_000_000))
    (archive / NIGHTS[0] / "gone.mp4").symlink_to("nowhere")
    plan = run_job("backfill", *arguments(site, archive, "--dry-run")[:-1], "--dry-run", "--min-age-minutes", 60).stdout
    assert "new: 'gate/2026-11-23/a.mp4'\nnew: 'gate/2026-11-23/gone.mp4'\n2 new videos" in plan


def test_several_archives_newest_day_first_with_joined_tables(site: Site, archive: Path) -> None:
    out, other = archive.parent / "out", archive.parent / "other"
    (other / "gate" / "2026-11-22").mkdir(parents=True)
    shutil.copy(archive / NIGHTS[0] / "a.mp4", other / "gate" / "2026-11-22" / "a.mp4")
    places = ("--archive", f"north={archive}", f"south={other}", *arguments(site, archive)[2:], "--order", "newest")

    plan = run_job("backfill", *places, "--dry-run").stdout
    found = [line.removeprefix("new: ").strip("'") for line in plan.splitlines() if line.startswith("new: ")]
    newest = ["north/gate/2026-11-24/a.mp4", "north/yard/2026-11-24/a.mp4"]
    assert found == [*newest, "north/gate/2026-11-23/a.mp4", "south/gate/2026-11-22/a.mp4"]

    run_job("backfill", *places, "--limit", 2, "--compact")
    assert figures(out, "shards", "joined_days", "joined_videos") == (6, 2, 2)
    assert joined(out) == dict.fromkeys(newest, 60)
    run_job("backfill", *places, "--compact")
    assert figures(out, "videos_skipped", "shards", "joined_days") == (2, 6, 2)
    assert joined(out) == dict.fromkeys(found, 60)

    (video,) = (archive / NIGHTS[2]).iterdir()
    video.write_bytes((archive / NIGHTS[0] / "a.mp4").read_bytes())
    run_job("backfill", *places, "--compact")
    assert figures(out, "videos_skipped", "shards", "joined_days") == (3, 3, 1)
    assert joined(out) == dict.fromkeys(found, 60)


def joined(out: Path) -> dict[str, int]:
    """Rows of each video in the joined frame tables, which say what the videos' own tables do."""
    (prefix,) = out.glob("bundle=*")
    indexes = [json.loads(path.read_text()) for path in sorted((prefix / "compact" / "index").rglob("*.json"))]
    for table in ("frames", "objects", "events", "health"):
        rows = pa.concat_tables([pq.read_table(prefix / index[table]) for index in indexes])
        single = [pq.read_table(path) for path in sorted((prefix / table).rglob("*.parquet"))]
        assert rows.sort_by("video").equals(pa.concat_tables(single, promote_options="permissive").cast(rows.schema))
    frames = pa.concat_tables([pq.read_table(prefix / index["frames"]) for index in indexes])
    return {row["values"]: row["counts"] for row in pc.value_counts(frames["video"]).to_pylist()}


def test_of_two_started_at_once_one_works_and_a_dead_ones_work_is_taken_over(site: Site, archive: Path) -> None:
    out = archive.parent / "out"
    slow = (*arguments(site, archive, "--shard-frames", 5, bundle=site.network), "--ray.workers", 1)
    with contextlib.ExitStack() as started:
        both = [
            started.enter_context(
                subprocess.Popen(
                    job("backfill", *slow), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
                )
            )
            for _ in range(2)
        ]
        try:
            wait_until(lambda: list(out.rglob("shards/**/*.parquet")), seconds=120, what="first shard")
            wait_until(lambda: any(one.poll() is not None for one in both), seconds=60, what="the second to end")
            second, owner = sorted(both, key=lambda one: one.poll() is None)
            assert second.returncode == 4
            assert f":{owner.pid}:" in second.communicate()[1]
        finally:
            for one in both:
                one.kill()
    (record,) = [json.loads(path.read_text()) for path in (out / "runs").glob("*.json")]
    assert record["status"] == "running", "the killed one was over"

    assert f":{owner.pid}:" in run_job("backfill", *slow, expect=4).stderr
    (lease,) = out.rglob("lease/*.json")
    term = json.loads(lease.read_text())
    lease.write_text(json.dumps({**term, "until": term["until"] - 150 - 1}))  # as if that many seconds had gone by
    run_job("backfill", *slow)
    found, computed = figures(out, "shards_found", "shards")
    assert found + computed == 36
    assert found > 0


def test_told_to_stop_it_finishes_what_runs_and_the_next_run_does_the_rest(site: Site, archive: Path) -> None:
    out = archive.parent / "out"
    slow = arguments(site, archive, "--shard-frames", 5, bundle=site.network)
    command = job("backfill", *slow, "--ray.workers", 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running:
        wait_until(lambda: list(out.rglob("shards/**/*.parquet")), seconds=120, what="first shard")
        second = run_job("backfill", *slow, expect=4)
        assert f":{running.pid}:" in second.stderr
        running.send_signal(signal.SIGTERM)
        output = running.communicate(timeout=60)
    assert running.returncode == 143, output
    assert b"shards; run the same command again to go on" in output[1] or b"not looked at" in output[1]
    assert figures(out, "stopped_early") == (True,)
    (first,) = figures(out, "shards")
    assert first < 36, "the run was over before it was told to stop"
    run_job("backfill", *slow)
    assert first + figures(out, "shards")[0] == 36
    run_job("score_archive", *slow[:4], "--out", archive.parent / "whole", "--engine", "eager")
    assert tables(out) == tables(archive.parent / "whole")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cameras", "gate"), "--cameras needs a --pattern with {camera}"),
        (("--since", "yesterday"), "--since must be a day such as 2026-11-24, got 'yesterday'"),
        (("--limit", -1), "--limit must be at least 0, got -1"),
    ],
)
def test_mistakes_are_one_line(site: Site, options: tuple[object, ...], said: str, tmp_path: Path) -> None:
    done = run_job("backfill", *arguments(site, tmp_path / "archive")[:6], *options, expect=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_pattern_that_fits_nothing_ends_the_night_at_once(site: Site, more: tuple[str, ...], tmp_path: Path) -> None:
    job = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path, "--pattern", "{camera}/{date}/*")
    done = run_job("backfill", *job, *more, expect=2)
    assert "fits no video, such as '01_" in done.stderr
