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
from hf2vad.archive.shards import Shard, cut_shards
from hf2vad.cluster.dispatch import Call, open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.jobs.score_work import ScoreWork, close_video, open_video, score_frames
from hf2vad.walk.limits import FrameSpan
from hf2vad.walk.walk import walk


@dataclass(frozen=True, kw_only=True)
class PinnedWork(ScoreWork):
    """Scoring, each call on a core that no other call has at that moment."""

    cores: tuple[int, ...]
    locks: str
    """Folder with a file for each core that is taken."""

    def work(self, shard: Shard) -> Call:
        return Call(score_pinned, (self, shard), None)


def score_pinned(work: PinnedWork, shard: Shard) -> dict[str, Any]:
    with taken(Path(work.locks), work.cores) as core:
        pin_process([core])
        return score_frames(work, shard)


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


def walk_plainly(work: PinnedWork, archive: str, span: str, shard_frames: int) -> float:
    """The walk of walk/walk.py in one process, one call after the other; returns how many models were loaded."""
    loads = 0.0
    for video in catalogue(archive, ()):
        timeline = open_video(work, video).timeline
        assert timeline is not None
        start, stop = FrameSpan(span).of(timeline.frame_count)
        shards = list(cut_shards(video, timeline, shard_frames, start=start, stop=stop))
        for shard in shards:
            loads += score_pinned(work, shard)["model_loads"]
        close_video(work, video, timeline, [(shard.start, shard.stop) for shard in shards], [])
    return loads


def timed_walks(
    work: ScoreWork, archive: str, span: str, shard_frames: int, *, folder: Path, cores: Sequence[int], repeats: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of the rounds of each variant, and models that were loaded in all rounds of it.

    `plain`, one process without Ray, and `ray_1`, one Ray worker, have the second of `cores`; `ray_2`, two workers,
    have both. `plain_2` is what two cores of this machine can do: two processes without Ray, each of which does all
    that `plain` does, at the same time. Ray, the processes and their models are there before the rounds that count;
    every walk scores all of the archive, into a prefix of its own.
    """
    values = {item.name: getattr(work, item.name) for item in fields(ScoreWork)}
    locks = folder / f"locks-{os.getpid()}"
    locks.mkdir(parents=True)
    numbers = itertools.count()
    loads = dict.fromkeys(("plain", "plain_2", "ray_1", "ray_2"), 0.0)

    def pinned(*own: int) -> PinnedWork:
        found = PinnedWork(**values, cores=own, locks=str(locks))
        return replace(found, prefix=str(folder / f"{os.getpid()}-{next(numbers)}"))

    def with_ray(name: str, *own: int) -> Callable[[], None]:
        def run() -> None:
            videos, steps = catalogue(archive, ()), pinned(*own)
            with open_cluster(RayConfig(workers=len(own))) as cluster:
                step = walk(videos, cluster, steps, shard_frames=shard_frames, span=FrameSpan(span), label=name)
            if step.failures:
                raise SystemExit(f"{name}: {step.failures[0]}")
            loads[name] += step.counts["model_loads"]

        return run

    spawning = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as open_now:
        open_now.enter_context(open_cluster(RayConfig(address="local")))
        processes = {core: open_now.enter_context(ProcessPoolExecutor(1, mp_context=spawning)) for core in cores}

        def plainly(name: str, *own: int) -> Callable[[], None]:
            def run() -> None:
                asked = [
                    processes[core].submit(walk_plainly, pinned(core), archive, span, shard_frames) for core in own
                ]
                loads[name] += sum(each.result() for each in asked)

            return run

        variants = {
            "plain": plainly("plain", cores[1]),
            "plain_2": plainly("plain_2", *cores),
            "ray_1": with_ray("ray_1", cores[1]),
            "ray_2": with_ray("ray_2", *cores),
        }
        return interleave(variants, repeats=repeats), loads
