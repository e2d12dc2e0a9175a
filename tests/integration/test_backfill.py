"""Nights of backfill over an archive that grows, through the job as a scheduler runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

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


def arguments(site: Site, archive: Path, *more: object) -> tuple[object, ...]:
    places = ("--archive", archive, "--bundle", site.bundle, "--out", archive.parent / "out")
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


def test_told_to_stop_it_finishes_what_runs_and_the_next_run_does_the_rest(site: Site, archive: Path) -> None:
    out = archive.parent / "out"
    command = job("backfill", *arguments(site, archive, "--shard-frames", 5, "--ray.workers", 1))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running:
        wait_until(lambda: list(out.rglob("shards/**/*.parquet")), seconds=120, what="first shard")
        second = run_job("backfill", *arguments(site, archive), expect=4)
        assert f":{running.pid}:" in second.stderr
        running.send_signal(signal.SIGTERM)
        output = running.communicate(timeout=60)
    assert running.returncode == 143, output
    assert b"shards; run the same command again to go on" in output[1] or b"not looked at" in output[1]
    assert figures(out, "stopped_early") == (True,)
    (first,) = figures(out, "shards")
    assert first < 36, "the run was over before it was told to stop"
    run_job("backfill", *arguments(site, archive, "--shard-frames", 5))
    assert first + figures(out, "shards")[0] == 36
    run_job("score_archive", *arguments(site, archive)[:4], "--out", archive.parent / "whole", "--engine", "eager")
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
