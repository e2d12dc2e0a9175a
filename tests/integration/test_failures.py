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
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs

from hf2vad.cluster import dispatch
from hf2vad.cluster.dispatch import Call, Dispatcher, Outcome, RayConfig
from hf2vad.cluster.policy import Cause
from hf2vad.errors import BreakerError, BucketNotFoundError, StorageError, StorageFullError, VideoError
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


def die(pids: str) -> None:
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def fail_once(mark: str) -> str:
    if Path(mark).exists():
        return "well again"
    Path(mark).touch()
    raise StorageError("s3://a/b: 503")


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def fail_always(kind: type[Exception]) -> None:
    raise kind("no luck")


def fail_on_the_gpu(kind: str, message: str, pids: str) -> None:
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\n")
    import torch

    raise getattr(torch, kind, RuntimeError)(message)


def outcome(dispatcher: Dispatcher, function: Callable[..., object], *args: object) -> Outcome:
    dispatcher.submit(Call(function, args, None))
    return dispatcher.wait()


def test_what_kills_its_worker_is_tried_on_another_and_then_fails(tmp_path: Path) -> None:
    dispatcher = Dispatcher(RayConfig(), use_gpu=False)
    found = outcome(dispatcher, die, str(tmp_path / "pids"))
    assert (found.cause, found.failure) == (Cause.WORKER, "its worker died (WorkerCrashedError), 3 times")
    assert len(set((tmp_path / "pids").read_text().split())) == 3
    assert dispatcher.retried == 2


def test_where_the_gpu_fails_the_worker_ends_and_the_shard_is_tried_on_another(tmp_path: Path) -> None:
    dispatcher, pids = Dispatcher(RayConfig(retries=1), use_gpu=False), tmp_path / "pids"
    message = "CUDA error: an illegal memory access was encountered"
    found = outcome(dispatcher, fail_on_the_gpu, "AcceleratorError", message, str(pids))
    assert (found.cause, found.failure) == (Cause.WORKER, f"its GPU failed ({message}), 2 times")
    tried = set(map(int, pids.read_text().split()))
    assert len(tried) == 2
    wait_until(lambda: not any(map(runs, tried)), seconds=10, what="both workers' end")
    assert outcome(dispatcher, os.getpid).value not in tried


def test_where_the_gpu_has_no_memory_left_the_worker_goes_on(tmp_path: Path) -> None:
    dispatcher, pids = Dispatcher(RayConfig(retries=1), use_gpu=False), tmp_path / "pids"
    found = outcome(dispatcher, fail_on_the_gpu, "OutOfMemoryError", "CUDA out of memory.", str(pids))
    assert found.cause is Cause.WORKER
    assert found.failure is not None
    assert "no memory was left on its GPU (CUDA out of memory.); take a smaller --batch" in found.failure
    assert found.failure.endswith("2 times")
    assert all(map(runs, map(int, pids.read_text().split())))


def test_storage_is_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dispatch, "pause", lambda cause, tries: 1.5)
    dispatcher, started = Dispatcher(RayConfig(), use_gpu=False), time.monotonic()
    found = outcome(dispatcher, fail_once, str(tmp_path / "mark"))
    assert (found.value, found.tries) == ("well again", 2)
    assert time.monotonic() - started >= 1.5
    found = outcome(dispatcher, fail_always, StorageError)
    assert (found.cause, found.failure) == (Cause.STORAGE, "no luck, 3 times")


def test_an_input_fails_at_once_and_what_comes_again_everywhere_ends_the_run() -> None:
    dispatcher = Dispatcher(RayConfig(), use_gpu=False)
    found = outcome(dispatcher, fail_always, VideoError)
    assert (found.cause, found.tries) == (Cause.INPUT, 1)
    with pytest.raises(StorageFullError):
        outcome(dispatcher, fail_always, StorageFullError)


def test_a_full_disk_ends_the_run_and_with_more_room_it_goes_on(site: Site, quiet: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    size = sum(path.stat().st_size for path in quiet.rglob("*.*"))
    with small_disk(disk, size // 2):
        with pytest.raises(StorageFullError, match=f"{disk}/out/.*: cannot be written: No space left on device"):
            score_job(scoring(site, disk / "out"))
        wait_until(lambda: not ray_workers("score_frames"), seconds=30, what="the last workers' end")
        assert failures(disk / "out") == {}
        assert not list(disk.rglob(".writing-*"))
        enlarge(disk, 8 * size)
        assert score_job(scoring(site, disk / "out")) == 0
        assert tables(disk / "out") == tables(quiet)


def test_when_all_workers_die_the_run_ends_and_no_video_is_blamed(site: Site, quiet: Path, tmp_path: Path) -> None:
    def kill(over: threading.Event) -> None:
        while not over.wait(0.02):
            for pid in ray_workers("open_video") + ray_workers("score_frames"):
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
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path, "--shard-frames", 10)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run_process, "score_archive", *arguments, "--engine", "eager") for _ in range(2)]
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
