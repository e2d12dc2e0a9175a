"""What a job on one machine costs from start to end: its own process, worker processes, Ray started for it.

Example:
    python -m benchmarks start --clip vtest.avi --bundle features --old ../before --old-bundle features

Seconds of the processor that `score_archive` takes with all processes that it starts, a few frames and 400 of them; the
clock's beside them in the result. What else the machine does adds to the clock, and hardly to the processor's seconds.

none        --ray.address none
processes   without an address: worker processes of this machine
ray         --ray.address local
old         another commit without an address, with a bundle of its own where it cannot read this one's
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import save
from benchmarks.processes import ROOT
from benchmarks.tables import markdown, results

FRAMES = (10, 400)
ADDRESSES = {"none": ("--ray.address", "none"), "processes": (), "ray": ("--ray.address", "local")}
LABELS = {
    "none": "the job's own process (`none`)",
    "processes": "worker processes (no address)",
    "ray": "Ray (`local`)",
    "old": "before",
}
COUNT = """
import ctypes, json, os, resource, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # what its children leave behind is waited for too
started = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
wall = time.monotonic() - started
while True:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, wall]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="a video of 400 frames, at least")
    parser.add_argument("--bundle", type=Path, required=True, help="one of preset features")
    parser.add_argument("--old", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--old-bundle", type=Path, help="a bundle for it")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    variants = {name: (ROOT, options.bundle, more) for name, more in ADDRESSES.items()}
    if options.old:
        variants["old"] = (options.old, options.old_bundle or options.bundle, ())
    found: dict[str, dict[str, list[tuple[float, float]]]] = {str(frames): {} for frames in FRAMES}
    for _ in range(options.repeats):
        for frames in FRAMES:
            for name, (root, bundle, more) in variants.items():
                seconds = scored(root, options.clip, bundle, frames, more)
                found[str(frames)].setdefault(name, []).append(seconds)
                print(
                    f"{frames} frames, {name}: {seconds[0]} s of the processor, {seconds[1]} of the clock", flush=True
                )
    save("start", {"clip": options.clip.name, "seconds": found})
    print(start())


def scored(root: Path, clip: Path, bundle: Path, frames: int, more: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of the processor and of the clock."""
    with tempfile.TemporaryDirectory() as out:
        job = [sys.executable, root / "jobs" / "score_archive.py", "--archive", clip, "--bundle", bundle, "--out", out]
        job += ["--frames", f"0:{frames}", "--shard-frames", "200", "--ray.workers", "2", "--device", "cpu", *more]
        kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        done = subprocess.run(
            [sys.executable, "-c", COUNT, *map(str, job)],
            cwd=root,
            env={**kept, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
            capture_output=True,
            text=True,
            check=True,
        )
    code, processor, clock = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(map(str, job))} ended with {code}")
    return round(processor, 2), round(clock, 2)


def start() -> str:
    """Seconds of the processor from start to end, by where the work runs."""
    head = ["where the work runs", *(f"{frames} frames, s of the processor" for frames in FRAMES)]
    if not (found := results("start.json")):
        return markdown(head, [["not measured yet", *[""] * len(FRAMES)]])
    return markdown(head, list(_rows(found[0]["seconds"])))


def _rows(seconds: dict[str, dict[str, list[tuple[float, float]]]]) -> Iterator[list[str]]:
    for name, label in LABELS.items():
        cells = [seconds[str(frames)].get(name, []) for frames in FRAMES]
        if any(cells):
            yield [label, *(f"{np.median([cpu for cpu, _ in cell]):.1f}" if cell else "" for cell in cells)]


TABLES = {"start": start}


if __name__ == "__main__":
    main()
