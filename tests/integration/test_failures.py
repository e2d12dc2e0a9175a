"""What each failure does to a run: real workers that die, a full disk, a bucket that vanishes, two writers.

The jobs run in this process, connected to the session's cluster; their work runs in its workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs

from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import BreakerError, BucketNotFoundError, StorageFullError
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.walk.settings import BreakerConfig
from tests.disk import enlarge, small_disk
from tests.seaweed import SeaweedServer
from tests.site import Site, last_run, meanwhile, ray_workers, run_process, tables, upload, wait_until

pytestmark = pytest.mark.usefixtures("ray_cluster")


def scoring(site: Site, out: Path, archive: Path | str | None = None) -> ScoreJob:
    job = ScoreJob.base({"bundle": str(site.bundle)})
    job = replace(job, archive=str(archive or site.test), bundle=str(site.bundle), out=str(out))
    return replace(job, shard_frames=10, engine="eager", device="cpu")


def failures(out: Path) -> dict[str, dict[str, object]]:
    rows = [json.loads(path.read_text()) for path in out.glob("bundle=*/failures/*.json")]
    return {row["video"]: row for row in rows}


@pytest.fixture(scope="module")
def quiet(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quiet")
    assert score_job(scoring(site, out)) == 0
    return out


def test_a_full_disk_ends_the_run_and_with_more_room_it_goes_on(site: Site, quiet: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    size = sum(path.stat().st_size for path in quiet.rglob("*.*"))
    with small_disk(disk, size // 2):
        with pytest.raises(StorageFullError, match=f"{disk}/out/.*: cannot be written: No space left on device"):
            score_job(scoring(site, disk / "out"))
        wait_until(lambda: not ray_workers("run_shard"), seconds=30, what="the last workers' end")
        assert failures(disk / "out") == {}
        assert not list(disk.rglob(".writing-*"))
        enlarge(disk, 8 * size)
        assert score_job(scoring(site, disk / "out")) == 0
        assert tables(disk / "out") == tables(quiet)


def test_when_all_workers_die_the_run_ends_and_no_video_is_blamed(site: Site, quiet: Path, tmp_path: Path) -> None:
    def kill(over: threading.Event) -> None:
        while not over.wait(0.02):
            for pid in ray_workers("open_video") + ray_workers("run_shard"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    job = scoring(site, tmp_path)
    hasty = replace(job, ray=RayConfig(retries=0), breaker=BreakerConfig(calls=3))
    with meanwhile(kill), pytest.raises(BreakerError, match="3 of the last 3 calls were lost to dead workers"):
        score_job(hasty)
    assert failures(tmp_path) == {}
    assert score_job(job) == 0
    assert tables(tmp_path) == tables(quiet)


def test_when_every_video_fails_the_run_ends_unless_told_not_to(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for number in range(20):
        (tmp_path / "archive" / f"{number:02d}.mp4").write_text("no video")
    job = scoring(site, tmp_path / "out", tmp_path / "archive")
    with pytest.raises(BreakerError, match=r"15 of the last 15 videos and shards failed, .*: .*not a readable video"):
        score_job(replace(job, breaker=BreakerConfig(videos=15)))
    assert score_job(replace(job, breaker=BreakerConfig(videos=0))) == 3
    assert len(failures(tmp_path / "out")) == 20


def test_a_bucket_that_vanishes_ends_the_run_and_a_vanished_object_its_video(
    site: Site, s3: SeaweedServer, tmp_path: Path
) -> None:
    upload(site.test, "s3://vanishing/a")
    files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    def vanish(*names: str) -> Callable[[threading.Event], None]:
        def removing(over: threading.Event) -> None:
            folder = tmp_path / "out"
            wait_until(lambda: list(folder.rglob("shards/**/*.parquet")) or over.is_set(), seconds=60, what="a shard")
            for name in names:
                files.rm_file(name)
            if len(names) > 1:
                files.rmdir("vanishing")

        return removing

    job = scoring(site, tmp_path / "out", "s3://vanishing/a")
    one = replace(job, ray=RayConfig(workers=1), shard_frames=5)
    with meanwhile(vanish("vanishing/a/03_cart.mp4")):
        assert score_job(one) == 3
    assert list(failures(tmp_path / "out")) == ["03_cart.mp4"]
    shutil.rmtree(tmp_path / "out")
    with (
        meanwhile(vanish("vanishing/a/01_runner.mp4", "vanishing/a/02_cyclist.mp4")),
        pytest.raises(BucketNotFoundError, match=r"vanishing.*no such bucket"),
    ):
        score_job(one)
    assert failures(tmp_path / "out") == {}


def test_two_writers_to_one_output_end_with_the_tables_of_one(site: Site, quiet: Path, tmp_path: Path) -> None:
    """Each has worker processes of its own, which are there sooner than workers of Ray."""
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path, "--shard-frames", 10)
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(run_process, "score_archive", *arguments, "--engine", "eager", env={"RAY_ADDRESS": ""})
            for _ in range(2)
        ]
        for one in both:
            one.result()
    assert tables(tmp_path) == tables(quiet)
    assert failures(tmp_path) == {}
    assert score_job(scoring(site, tmp_path)) == 0
    assert last_run(tmp_path)["videos_skipped"] == 3


def test_a_video_that_is_replaced_while_it_is_scored_is_scored_again_next_time(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    first, second = sorted(site.test.glob("*.mp4"))[:2]
    video = tmp_path / "archive" / "a.mp4"
    shutil.copy(first, video)

    def replaced(over: threading.Event) -> None:
        wait_until(lambda: list(tmp_path.rglob("shards/**/*.parquet")) or over.is_set(), seconds=60, what="a shard")
        shutil.copy(second, tmp_path / "new")
        os.replace(tmp_path / "new", video)

    job = replace(scoring(site, tmp_path / "out", tmp_path / "archive"), ray=RayConfig(workers=1))
    with meanwhile(replaced):
        score_job(job)
    assert score_job(job) == 0
    assert last_run(tmp_path / "out")["videos_skipped"] == 0
    shutil.rmtree(tmp_path / "out" / "runs")
    assert score_job(replace(job, out=str(tmp_path / "fresh"))) == 0
    assert tables(tmp_path / "out") == tables(tmp_path / "fresh")
