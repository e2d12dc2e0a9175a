"""SIGTERM at any moment: storage is sound, the next run goes on, and hardly a shard is computed twice.

The jobs run in this process, connected to the session's cluster, and it is this process that gets the signals.
`python -m benchmarks sigterm` does the same to processes of their own, 20 times.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hf2vad.errors import StoppedError
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from tests.site import Site, last_run, tables
from tests.sound import unsound

MOMENTS = 5
SHARDS = 60


pytestmark = pytest.mark.usefixtures("ray_cluster")


def scoring(site: Site, out: Path) -> ScoreJob:
    job = ScoreJob.base({"bundle": str(site.network)})
    job = replace(job, archive=str(site.test), bundle=str(site.network), out=str(out), shard_frames=5)
    return replace(job, engine="eager", device="cpu")


def shard_files(out: Path) -> set[Path]:
    """Files of shards; what a shard looked like lies beside them, under a name of the same form."""
    return {path for path in out.rglob("*-*-*.parquet") if "looks" not in path.parts}


@contextlib.contextmanager
def sigterm_after(out: Path, shards: int, wait: float, *, times: int = 1) -> Iterator[None]:
    """Signal this process `wait` seconds after `shards` new shard files have appeared under `out`."""
    over, seen = threading.Event(), shard_files(out)

    def send() -> None:
        new: set[Path] = set()
        while len(new) < shards and not over.is_set():
            new |= shard_files(out) - seen
            time.sleep(0.005)
        if not over.wait(wait):
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            over.set()
            sending.result(30)


def runs_until_done(job: Callable[[], int], out: Path) -> tuple[int, int]:
    """Run the job through MOMENTS signals at random moments and then to its end; returns stops and shards computed."""
    choose, stops, shards = random.Random(5), 0, 0
    for _ in range(MOMENTS):
        with contextlib.suppress(StoppedError), sigterm_after(out, choose.randint(1, 2), choose.uniform(0, 0.2)):
            job()
        stops += last_run(out).get("stopped_early", False)
        shards += last_run(out)["shards"]
        assert unsound(out) == []
    assert job() == 0
    return stops, shards + last_run(out)["shards"]


def test_at_random_moments_nothing_is_lost_and_nothing_computed_twice(site: Site, tmp_path: Path) -> None:
    quiet, out = tmp_path / "quiet", tmp_path / "out"
    job = replace(scoring(site, out), include=("01_*", "02_*"), shard_frames=2)
    assert score_job(replace(job, out=str(quiet))) == 0
    assert last_run(quiet)["shards"] == SHARDS
    stops, shards = runs_until_done(lambda: score_job(job), out)
    assert stops == MOMENTS
    assert shards <= 1.05 * SHARDS
    assert tables(out) == tables(quiet)
    assert unsound(out) == []


@pytest.mark.parametrize(("grace", "times"), [(0.0, 1), (60.0, 2)], ids=["after the grace period", "told twice"])
def test_in_haste_what_runs_is_dropped(grace: float, times: int, site: Site, tmp_path: Path) -> None:
    job = replace(scoring(site, tmp_path), grace_seconds=grace, shard_frames=20)
    began = time.monotonic()
    with sigterm_after(tmp_path, 1, 0.0, times=times), pytest.raises(StoppedError, match=r"left: .* begun, with"):
        score_job(job)
    assert time.monotonic() - began < 60
    assert unsound(tmp_path) == []
    before = last_run(tmp_path)["shards"]
    assert score_job(job) == 0
    assert before + last_run(tmp_path)["shards"] + last_run(tmp_path)["shards_found"] >= 9


def test_extraction_stops_in_the_same_way(site: Site, tmp_path: Path) -> None:
    job = ExtractJob(archive=str(site.train), out=str(tmp_path), shard_frames=5, dataset="train")
    with sigterm_after(tmp_path, 2, 0.0), pytest.raises(StoppedError):
        extract_job(job)
    assert unsound(tmp_path) == []
    first = last_run(tmp_path)["shards"]
    assert extract_job(job) == 0
    assert first + last_run(tmp_path)["shards"] == 24
