"""Scoring walks whose workers keep to one core each, with Ray and without."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import interleave
from hf2vad.archive.catalog import catalogue
from hf2vad.cluster.dispatch import open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.tasks.scoring import ScoringTask
from hf2vad.video.shards import Shard
from hf2vad.walk.limits import ShardPlan
from hf2vad.walk.settings import FrameRange
from hf2vad.walk.walk import Walk, WorkerCalls
from hf2vad.walk.worker import close_video, open_video, run_shard


@dataclass(frozen=True, kw_only=True)
class PinnedTask(ScoringTask):
    """Scoring, each call on a core that no other call has at that moment."""

    cores: tuple[int, ...]
    locks: str
    """Folder with a file for each core that is taken."""


def run_pinned(task: PinnedTask, shard: Shard) -> dict[str, Any]:
    with taken(Path(task.locks), task.cores) as core:
        pin_process([core])
        return run_shard(task, shard)


@contextlib.contextmanager
def taken(folder: Path, cores: Sequence[int]) -> Iterator[int]:
    """One of `cores` that no other process has taken."""
    for core in cores:
        lock = folder / str(core)
        try:
            lock.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield core
        finally:
            lock.unlink()
        return
    raise RuntimeError(f"more calls at once than the cores {cores}")


def pin_process(cores: Sequence[int]) -> None:
    """Run all threads of this process, and those they start, on `cores`."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def walk_plainly(task: PinnedTask, archive: str, plan: ShardPlan) -> float:
    """The walk of walk/walk.py in one process, one call after the other; returns how many models were loaded."""
    loads = 0.0
    for video in catalogue(archive, ()):
        timeline = open_video(task, video).timeline
        assert timeline is not None
        shards = list(plan.shards(video, timeline))
        for shard in shards:
            loads += run_pinned(task, shard)["model_loads"]
        close_video(task, video, timeline, [(shard.start, shard.stop) for shard in shards], [])
    return loads


def timed_walks(
    task: ScoringTask, archive: str, frames: str, shard_frames: int, *, folder: Path, cores: Sequence[int], repeats: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of the rounds of each variant, and models that were loaded in all rounds of it.

    `plain`, one process without Ray, and `ray_1`, one Ray worker, have the second of `cores`; `ray_2`, two workers,
    have both. `plain_2` is what two cores of this machine can do: two processes without Ray, each of which does all
    that `plain` does, at the same time. Ray, the processes and their models are there before the rounds that count;
    every walk scores all of the archive, into a prefix of its own.
    """
    values = {item.name: getattr(task, item.name) for item in fields(ScoringTask)}
    plan = ShardPlan(shard_frames, FrameRange(frames))
    locks = folder / f"locks-{os.getpid()}"
    locks.mkdir(parents=True)
    numbers = itertools.count()
    loads = dict.fromkeys(("plain", "plain_2", "ray_1", "ray_2"), 0.0)

    def pinned(*own: int) -> PinnedTask:
        found = PinnedTask(**values, cores=own, locks=str(locks))
        return replace(found, layout=replace(found.layout, prefix=str(folder / f"{os.getpid()}-{next(numbers)}")))

    def with_ray(name: str, *own: int) -> Callable[[], None]:
        def run() -> None:
            with open_cluster(RayConfig(workers=len(own))) as cluster:
                walk = Walk(cluster, pinned(*own), plan, calls=WorkerCalls(work=run_pinned))
                counts = walk.run(catalogue(archive, ()), name)
            if counts.failures:
                raise SystemExit(f"{name}: {counts.failures[0]}")
            loads[name] += counts.figures["model_loads"]

        return run

    spawning = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as open_now:
        open_now.enter_context(open_cluster(RayConfig(address="local")))
        processes = {core: open_now.enter_context(ProcessPoolExecutor(1, mp_context=spawning)) for core in cores}

        def plainly(name: str, *own: int) -> Callable[[], None]:
            def run() -> None:
                asked = [processes[core].submit(walk_plainly, pinned(core), archive, plan) for core in own]
                loads[name] += sum(each.result() for each in asked)

            return run

        variants = {
            "plain": plainly("plain", cores[1]),
            "plain_2": plainly("plain_2", *cores),
            "ray_1": with_ray("ray_1", cores[1]),
            "ray_2": with_ray("ray_2", *cores),
        }
        return interleave(variants, repeats=repeats), loads
