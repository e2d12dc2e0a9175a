"""Scoring as a whole: overlap in a worker, what Ray costs, one worker against two, the job end to end, peak memory.

Example:
    python -m benchmarks pipeline --work /tmp/pipeline
    python -m benchmarks pipeline --work /tmp/pipeline --archive ../shared/data/videos/vtest.avi --frames 400
    python -m benchmarks pipeline --work /tmp/pipeline --overlap-only --frames 400 --shard-frames 200

Variants are interleaved, and threads pinned to `--cores`, in this benchmark only: for `overlap` extraction's threads to
the first and the network to the second; for `walks` each worker's process to one. `compact_eq9` is trained for a few
steps on the archive itself: what a network costs does not depend on its weights.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import interleave, save, summary
from benchmarks.pinned import timed_walks
from benchmarks.processes import job, peak_of_workers
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.cluster.ray_cluster import WORKER_ENVIRONMENT
from hf2vad.demo.archive import DemoArchive, generate
from hf2vad.engines.request import answer_here
from hf2vad.jobs.score import ScoreJob
from hf2vad.profile import recording, span
from hf2vad.runs.scoring import engine_request, scoring_task
from hf2vad.schema import CubeBatch
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.shard import score_shard
from hf2vad.tasks.scoring import ScoringTask, warm_features
from hf2vad.video.shards import Shard, cut_shards
from hf2vad.video.timeline import probe
from hf2vad.walk.worker import warm_extractor

LARGE = (1920, 1080)
"""Width and height of the clip that peak memory is measured on."""
SPANS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for archive, bundle and scores")
    parser.add_argument("--archive", help="videos to score; left out: two clips of the demo archive")
    parser.add_argument("--frames", type=int, default=200, help="of each video")
    parser.add_argument("--shard-frames", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large-frames", type=int, default=60, help="of the 1080p clip")
    parser.add_argument("--engine", default="eager")
    parser.add_argument("--overlap-only", action="store_true", help="only that, as pipeline_overlap.json")
    parser.add_argument("--cores", type=int, nargs=2, default=sorted(os.sched_getaffinity(0))[:2])
    options = parser.parse_args()
    os.environ |= {**WORKER_ENVIRONMENT, "OMP_NUM_THREADS": "1"}
    archive = options.archive or str(demo(options.work / "archive", options.frames, clips=2).test)
    bundle = train(options.work, archive)
    known = {"archive": archive, "bundle": str(bundle), "frames": f"0:{options.frames}", "device": "cpu"}
    known |= {"engine": options.engine, "shard_frames": options.shard_frames, "out": str(options.work)}
    asked = replace(ScoreJob.base({"bundle": str(bundle)}), **known)
    task = scoring_task(asked)
    if options.engine != "eager":
        task = task.with_engine(answer_here(engine_request(asked, task)).choice.spec)
    shards = [
        shard
        for video in catalogue(archive, ())
        for shard in cut_shards(video, probe(video), options.shard_frames, stop=options.frames)
    ]
    frames = sum(shard.stop - shard.start for shard in shards)
    result = {
        "archive": Path(archive).name if options.archive else "demo",
        "size": [shards[0].width, shards[0].height],
        "frames": frames,
        "shard_frames": options.shard_frames,
        "repeats": options.repeats,
        "engine": options.engine,
        "batch": task.batch,
        "threads": "a worker: three that extract, one of torch; pinned as the benchmark's docstring says",
        "overlap": overlap(task, shards, options),
    }
    if options.overlap_only:
        save("pipeline_overlap", result)
        return
    how = (asked.archive, asked.frames, asked.shard_frames)
    seconds, loads = timed_walks(
        task, *how, folder=options.work / "walks", cores=options.cores, repeats=options.repeats
    )
    result |= {
        "walks": {**summary(seconds, "plain", units=frames), "model_loads": loads},
        "two_workers": summary(seconds, "ray_1")["ray_2"]["ratio"],
        "two_processes": round(2 * summary(seconds, "plain")["plain_2"]["ratio"], 3),
        "jobs": (jobs := [run(options, asked, workers) for workers in (1, 2)]),
        "spans": span_cost(jobs[0]),
        "large": large(options, bundle),
    }
    save("pipeline", result)


def demo(folder: Path, frames: int, *, clips: int, size: tuple[int, int] = (320, 240)) -> DemoArchive:
    return generate(folder, train_clips=0, test_clips=clips, frames=frames, size=size)


def train(folder: Path, archive: str) -> Path:
    """A bundle of `compact_eq9`, trained for a few steps on the first frames."""
    bundle = folder / "bundle"
    if not (bundle / "bundle.json").exists():
        local = ("--ray.address", "local", "--ray.workers", 1)
        job("extract_stc", "--archive", archive, "--out", folder / "stc", "--frames", "0:60", *local)
        few = [f"--training.{stage}.{what}" for stage in ("flow", "frame") for what in ("epochs=1", "steps=4")]
        job("train", "--stc", folder / "stc", "--out", bundle, "--preset", "compact_eq9", "--threads", 1, *few)
    return bundle


def extract_forever(task: ScoringTask, shards: list[Shard], core: int, ready: Event) -> None:
    """Extract on `core`, over and over."""
    os.sched_setaffinity(0, [core])
    extractor = warm_extractor(task.config.extraction, task.config.boxes, task.config.threads)
    while True:
        for shard in shards:
            for _ in extractor.cubes(shard):
                ready.set()


@contextlib.contextmanager
def neighbour(task: ScoringTask, shards: list[Shard], core: int) -> Iterator[Callable[[int], None]]:
    """Another process that extracts on `core` while it is let; gives what sends it SIGCONT and SIGSTOP."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=extract_forever, args=(task, shards, core, ready), daemon=True)
    process.start()
    pid = process.pid
    assert pid is not None
    try:
        assert ready.wait(120)
        os.kill(pid, signal.SIGSTOP)
        yield lambda number: os.kill(pid, number)
    finally:
        process.kill()
        process.join()


def overlap(task: ScoringTask, shards: list[Shard], options: argparse.Namespace) -> dict[str, Any]:
    """Extraction alone on one core, the network alone on the other, and both together as a worker does it.

    `beside`: the network alone while another process, which shares neither interpreter nor queue with it, extracts on
    the other core: what it costs that the two cores have one memory.
    """
    extractor = warm_extractor(task.config.extraction, task.config.boxes, task.config.threads)
    threads = task.config.threads
    features = warm_features(
        task.bundle_uri, task.bundle.id, task.features, task.engine, task.device, task.batch, threads
    )
    assert features.engine is not None, "the bundle's score needs no network"
    first, second = options.cores
    ready = []
    for shard in shards:
        batches = list(extractor.cubes(shard))
        ready.append(tuple(np.concatenate([getattr(b, name) for b in batches]) for name in ("appearance", "flow")))

    def extraction() -> None:
        os.sched_setaffinity(0, [first])
        for shard in shards:
            for _ in extractor.cubes(shard):
                pass

    def network() -> None:
        os.sched_setaffinity(0, [second])
        for appearance, flow in ready:
            features.engine.errors(appearance, flow)

    def on_first(shard: Shard) -> Generator[CubeBatch, None, None]:
        os.sched_setaffinity(0, [first])  # of the thread that extracts, and of those that it starts
        with closing(extractor.cubes(shard)) as batches:
            yield from batches

    def together() -> None:
        os.sched_setaffinity(0, [second])
        for shard in shards:
            score_shard(
                shard.video.id,
                on_first(shard),
                features,
                Scorer.of(task.bundle, shard.video.path),
                metadata={},
            )

    allowed = os.sched_getaffinity(0)
    with neighbour(task, shards, first) as tell:

        def beside() -> None:
            tell(signal.SIGCONT)
            network()
            tell(signal.SIGSTOP)

        variants = {"extraction": extraction, "network": network, "beside": beside, "together": together}
        seconds = interleave(variants, repeats=options.repeats)
    os.sched_setaffinity(0, allowed)
    seconds["slower"] = [max(pair) for pair in zip(seconds["extraction"], seconds["network"], strict=True)]
    frames = sum(shard.stop - shard.start for shard in shards)
    return {**summary(seconds, "slower", units=frames), "cubes": sum(len(flow) for _, flow in ready)}


def run(options: argparse.Namespace, asked: ScoreJob, workers: int) -> dict[str, Any]:
    """The job end to end, start-up and model load included: what its record says."""
    out = options.work / f"job-{workers}-{os.getpid()}"
    arguments = [f"--{name}={getattr(asked, name.replace('-', '_'))}" for name in ("archive", "bundle", "frames")]
    arguments += [f"--shard-frames={asked.shard_frames}", f"--engine={asked.engine}", "--device=cpu", f"--out={out}"]
    job("score_archive", *arguments, f"--ray.workers={workers}", "--ray.address=local", "--profile")
    (path,) = (out / "runs").glob("*.json")
    record = json.loads(path.read_text())
    kept = ("workers", "seconds", "frames", "cubes", "fps", "video_hours_per_day", "worker_busy_s", "stages")
    return {name: record[name] for name in kept} | {"cubes_per_s": round(record["cubes"] / record["seconds"], 1)}


def span_cost(done: dict[str, Any]) -> dict[str, float]:
    """What it costs to count seconds: of one span, and of all spans of a job, as a share of its workers' time."""

    def seconds() -> float:
        started = time.perf_counter()
        for _ in range(SPANS):
            with span("a"):
                pass
        return (time.perf_counter() - started) / SPANS

    with recording("main", label="cost"):
        counted = statistics.median(seconds() for _ in range(5))
    spans = sum(row["spans"] for row in done["stages"])
    return {
        "seconds": counted,
        "seconds_without_recording": statistics.median(seconds() for _ in range(5)),
        "per_frame": round(spans / done["frames"], 2),
        "share": round(counted * spans / done["worker_busy_s"], 6),
    }


def large(options: argparse.Namespace, bundle: Path) -> dict[str, Any]:
    """Peak resident set of a worker on 1080p."""
    archive = demo(options.work / "large", options.large_frames, clips=1, size=LARGE).test
    out = options.work / f"large-{os.getpid()}"
    local = ("--ray.workers", 1, "--ray.address", "local", "--engine", options.engine)
    peak = peak_of_workers("score_archive", "--archive", archive, "--bundle", bundle, "--out", out, *local)
    return {"size": LARGE, "frames": options.large_frames, "peak_mib": round(peak, 1)}


def unless_missing(head: list[str], rows: Any) -> Any:
    """A table of the result's rows, or of one that says that there is none."""

    def table() -> str:
        found = results("pipeline.json")
        return markdown(head, rows(found[0]) if found else [["not measured yet", *[""] * (len(head) - 1)]])

    return table


def overlap_rows(result: dict[str, Any]) -> list[list[str]]:
    names = {"extraction": "extraction alone", "network": "network alone"}
    names |= {"beside": "network, another process extracting", "together": "both, as in a worker"}
    found = result["overlap"]
    return [
        [
            text,
            f"{found[name]['per_second']:.1f}",
            f"{found[name]['ratio']:.2f}" if name in ("beside", "together") else "",
        ]
        for name, text in names.items()
        if name in found
    ]


def walk_rows(result: dict[str, Any]) -> list[list[str]]:
    names = {
        "plain": "one process without Ray",
        "plain_2": "two processes without Ray, each doing all of it",
        "ray_1": "Ray, one worker",
        "ray_2": "Ray, two workers",
    }
    found, two = result["walks"], {"ray_2": f"{result['two_workers']:.2f}"}
    times = {name: 2 if name == "plain_2" else 1 for name in names}
    return [
        [
            text,
            f"{times[name] * found[name]['per_second']:.1f}",
            f"{times[name] * found[name]['ratio']:.2f}",
            two.get(name, ""),
        ]
        for name, text in names.items()
    ]


def job_rows(result: dict[str, Any]) -> list[list[str]]:
    keys = ("workers", "seconds", "fps", "cubes_per_s", "video_hours_per_day")
    return [[f"{done[key]:,}" for key in keys] for done in result["jobs"]]


def stage_rows(result: dict[str, Any]) -> list[list[str]]:
    done = result["jobs"][0]
    return [
        [row["thread"], row["stage"], f"{row['seconds']:.2f}", f"{1000 * row['seconds'] / done['frames']:.2f}"]
        for row in done["stages"]
    ]


def large_rows(result: dict[str, Any]) -> list[list[str]]:
    width, height = result["large"]["size"]
    return [[f"{width}×{height}", f"{result['large']['peak_mib']:,.0f} MiB"]]


def overlap_table() -> str:
    """Of every result there is: with short shards and with longer ones."""
    found = results("pipeline*.json")
    rows = [[f"{result['shard_frames']}", *row] for result in found for row in overlap_rows(result)]
    return markdown(["frames of a shard", "", "frames/s", "of the slower one alone"], rows)


TABLES = {
    "pipeline_overlap": overlap_table,
    "pipeline_walks": unless_missing(["", "frames/s", "of one process without Ray", "of one worker"], walk_rows),
    "pipeline_jobs": unless_missing(["workers", "seconds", "frames/s", "cubes/s", "video hours a day"], job_rows),
    "pipeline_stages": unless_missing(["thread", "stage", "seconds", "ms a frame"], stage_rows),
    "pipeline_large": unless_missing(["frame size", "peak resident set"], large_rows),
}
