"""A camera's day in miniature: what it costs, beside an earlier commit, DVR-Scan and decoding alone.

Example:
    git worktree add ../old 661f10a
    python -m venv /tmp/dvr && /tmp/dvr/bin/pip install dvr-scan-headless
    python -m benchmarks archive_day --work /tmp/day --old ../old --dvr-scan /tmp/dvr/bin/dvr-scan
    python -m benchmarks archive_day --work /tmp/day --old ../old --street ../shared/data/videos/vtest.avi
    python -m benchmarks archive_day --work /tmp/day --clips yard --repeats 1            # small, nothing beside it

Clips, H.264, 25 fps: `yard` (640×360, someone passes in a tenth of the time), `street` (640×360, always somebody, or
--street), `yard_1080p`. The day is 20 hours of the yard and 4 of the street, by what a frame of each costs.

extraction   frames a second and core: with one worker, the whole job held to one core, of the time that shards take
scan         DVR-Scan -so, decoding alone: frames a second of one core, start and end included
score        seconds of `score_archive` from start to end on two cores and two workers, 400 frames of the street

All variants are interleaved. `compact` is trained for a few steps: what a network costs does not depend on its weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.measure import save
from benchmarks.processes import ROOT
from benchmarks.tables import markdown, results
from hf2vad.demo.actors import Actor
from hf2vad.demo.archive import render_clip
from hf2vad.demo.street import NEAR, Street

FPS = 25.0
QUIET_H, BUSY_H = 20, 4
SMALL = ("--training.stages", "flow", "frame", "--training.flow.steps", "2", "--training.frame.steps", "2")
ONE_WORKER = ("--ray.address", "local", "--ray.workers", "1")


class Yard(Street):
    """Someone passes for a tenth of the time."""

    def normal(self, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        foot = float(np.mean(NEAR))
        half = self.half_width_m(foot) + 0.5
        speed = 2 * half / (seconds / 10)
        yield Actor("walker", foot, speed, -half - speed * 0.45 * seconds, 1.75, int(rng.integers(2**31)))


@dataclass(frozen=True)
class Clip:
    scene: type[Street]
    width: int
    height: int
    frames: int

    def render(self, path: Path) -> Path:
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        scene = self.scene(self.width, self.height, fps=FPS, seed=0)
        part = path.with_suffix(".part.mp4")
        with av.open(str(part), "w") as container:
            options = {"preset": "veryfast", "crf": "23", "g": "50"}
            stream = container.add_stream("libx264", rate=Fraction(int(FPS)), options=options)
            stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
            for frame in render_clip(scene, None, frames=self.frames, seed=[0, 1, 0]):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
            container.mux(stream.encode(None))
        part.rename(path)
        return path


CLIPS = {
    "yard": Clip(Yard, 640, 360, 2000),
    "street": Clip(Street, 640, 360, 800),
    "yard_1080p": Clip(Yard, 1920, 1080, 1000),
}


@dataclass(frozen=True)
class Checkout:
    """One commit's jobs."""

    name: str
    root: Path

    def job(self, name: str, *arguments: object, core: int | None = None) -> float:
        """Seconds that a job takes, start and end included."""
        held = ["taskset", "-c", str(core)] if core is not None else []
        environment = {**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
        command = [*held, sys.executable, str(self.root / "jobs" / f"{name}.py"), *map(str, arguments)]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return time.perf_counter() - began

    def extraction(self, clip: Path, out: Path, core: int, *settings: str) -> float:
        """Frames a second that one worker on one core extracts."""
        self.job("extract_stc", "--archive", clip, "--out", out, *ONE_WORKER, *settings, core=core)
        record = json.loads(max(out.rglob("runs/*.json")).read_text())
        return float(record["frames"] / record["worker_busy_s"])


class Outputs:
    """New folders, one a run."""

    def __init__(self, work: Path) -> None:
        self._work, self._count = work, 0

    def __call__(self) -> Path:
        self._count += 1
        return self._work / f"{time.time_ns()}-{self._count}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for clips, bundles and outputs")
    parser.add_argument("--old", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--dvr-scan", type=Path, help="the program")
    parser.add_argument("--street", type=Path, help="a video in the street's place")
    parser.add_argument("--clips", nargs="+", choices=list(CLIPS), default=list(CLIPS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to stay on")
    options = parser.parse_args()
    clips = {name: CLIPS[name].render(options.work / "clips" / f"{name}.mp4") for name in options.clips}
    if options.street and "street" in clips:
        clips["street"] = options.street
    commits = [Checkout("new", ROOT), *([Checkout("old", options.old)] if options.old else [])]
    fresh = Outputs(options.work / "out")
    result: dict[str, Any] = {"street": options.street.name if options.street else "rendered", "extraction": {}}
    for name, clip in clips.items():
        measures: dict[str, Callable[[], float]] = {
            commit.name: partial(extracted, commit, clip, fresh, options.core) for commit in commits
        }
        if options.dvr_scan:
            measures["dvr-scan"] = partial(scanned, options.dvr_scan, clip, options.core)
        measures["decoding"] = partial(decoded, clip, options.core)
        result["extraction"][name] = rounds(measures, options.repeats)
    if "street" in clips:
        result["score_s"] = scoring(commits, clips["street"], options.work, fresh, options.repeats)
    if {"yard", "street"} <= clips.keys():
        result["day"] = {name: day(result["extraction"], name) for name in result["extraction"]["yard"]}
    save("archive_day", result)
    print(archive_day())


def rounds(measures: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each measure gives, `repeats` times, every one once and then all again."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            found[name].append(round(measure(), 2))
            print(f"{name}: {found[name][-1]}", flush=True)
    return found


def extracted(commit: Checkout, clip: Path, fresh: Outputs, core: int) -> float:
    return commit.extraction(clip, fresh(), core, "--preset", "compact", "--shard-frames", "5000")


def frames_of(clip: Path) -> int:
    with av.open(str(clip)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def scanned(program: Path, clip: Path, core: int) -> float:
    began = time.perf_counter()
    subprocess.run(["taskset", "-c", str(core), program, "-so", "-q", "-i", clip], check=True, capture_output=True)
    return frames_of(clip) / (time.perf_counter() - began)


def decoded(clip: Path, core: int) -> float:
    """Frames a second of PyAV, one thread, no conversion."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    began, count = time.perf_counter(), 0
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            count += 1
    os.sched_setaffinity(0, before)
    return count / (time.perf_counter() - began)


def scoring(commits: list[Checkout], clip: Path, work: Path, fresh: Outputs, repeats: int) -> dict[str, list[float]]:
    """Seconds of scoring, start to end, by each commit's defaults and by `features`."""
    measures: dict[str, Callable[[], float]] = {}
    for commit in commits:
        for preset in ("compact", "features") if commit.name == "new" else ("compact",):
            bundle, stc = work / f"bundle-{commit.name}-{preset}", fresh()
            if not (bundle / "bundle.json").exists():
                commit.job("extract_stc", "--archive", clip, "--out", stc, "--preset", preset, "--frames", "0:400")
                steps = SMALL if preset == "compact" else ()
                commit.job("train", "--stc", stc, "--out", bundle, "--preset", preset, *steps)
            name = f"{commit.name}, {preset}"
            measures[name] = partial(scored, commit, clip, bundle, fresh)
    return rounds(measures, repeats)


def scored(commit: Checkout, clip: Path, bundle: Path, fresh: Outputs) -> float:
    chosen = ("--frames", "0:400", "--shard-frames", "200", "--ray.workers", "2", "--device", "cpu")
    return commit.job("score_archive", "--archive", clip, "--bundle", bundle, "--out", fresh(), *chosen)


def day(extraction: dict[str, dict[str, list[float]]], name: str) -> dict[str, float]:
    """What a day's extraction comes to by `name`, of one core."""
    quiet, busy = (float(np.median(extraction[clip][name])) for clip in ("yard", "street"))
    seconds = 3600 * FPS * (QUIET_H / quiet + BUSY_H / busy)
    return {"core_hours": round(seconds / 3600, 2), "video_hours_a_day_and_core": round(24 * 86400 / seconds, 1)}


def archive_day() -> str:
    """Frames a second and core of each clip by each program, and how many times the old commit's and DVR-Scan's."""
    head = ["clip", "hf2vad", "661f10a", "DVR-Scan", "decoding alone", "of 661f10a", "of DVR-Scan"]
    if not (found := results("archive_day.json")):
        return markdown(head, [["not measured yet", *([""] * 6)]])
    rows = []
    for name, by in found[0]["extraction"].items():
        values = [by.get(key) for key in ("new", "old", "dvr-scan", "decoding")]
        ratios = [np.median(np.divide(by["new"], by[key])) if key in by else None for key in ("old", "dvr-scan")]
        cells = [f"{np.median(one):,.0f}" if one else "" for one in values]
        rows.append([name.replace("_", ", "), *cells, *(f"{one:.2f}×" if one else "" for one in ratios)])
    return markdown(head, rows)


def archive_day_total() -> str:
    """The day's extraction by each program, and seconds that scoring takes from start to end."""
    head = ["program", "core hours for the day", "video hours a day and core", "400 frames scored, s", "of 661f10a"]
    if not (found := results("archive_day.json")):
        return markdown(head, [["not measured yet", *([""] * 4)]])
    names = {"new": "hf2vad", "old": "661f10a", "dvr-scan": "DVR-Scan", "decoding": "decoding alone"}
    days, scored = found[0].get("day", {}), found[0].get("score_s", {})
    rows = []
    for name, of_day in days.items():
        hours = [f"{of_day['core_hours']:.1f}", f"{of_day['video_hours_a_day_and_core']:,.0f}"]
        runs = [(preset, scored[key]) for preset in ("compact", "features") if (key := f"{name}, {preset}") in scored]
        for preset, seconds in runs or [("", [])]:
            ratio = (
                f"{np.median(np.divide(scored['old, compact'], seconds)):.1f}×"
                if "old, compact" in scored and seconds
                else ""
            )
            title = f"{names[name]}, `{preset}`" if preset else names[name]
            rows.append([title, *hours, f"{np.median(seconds):.1f}" if seconds else "", ratio])
    return markdown(head, rows)


TABLES = {"archive_day": archive_day, "archive_day_total": archive_day_total}


if __name__ == "__main__":
    main()
