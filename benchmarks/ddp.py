"""Training by two workers against one, on this machine's cores: same cubes, same global batch, `compact_eq9`.

Example:
    python -m benchmarks ddp --work /tmp/ddp

Also: the frame stage on kept reconstructions against computing them again in every epoch. Speeds are those of the last
epoch, in cubes a second; losses are those of the last epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import describe
from hf2vad.demo.archive import generate
from hf2vad.training.data import StcTable

ROOT = Path(__file__).resolve().parents[1]
CORES = 2

RUNS: dict[str, list[object]] = {
    "1 worker, 1 thread": ["--threads", 1, "--training.cache-gib", 0],
    "1 worker, 2 threads": ["--threads", 2, "--training.cache-gib", 0],
    "2 workers, 1 thread each": ["--workers", 2, "--threads", 1, "--training.cache-gib", 0],
    "1 worker, 2 threads, all kept in memory": ["--threads", 2],
    "2 workers, 1 thread each, all kept in memory": ["--workers", 2, "--threads", 1],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for cubes and bundles")
    parser.add_argument("--epochs", type=int, default=3, help="of each stage; the last one counts")
    options = parser.parse_args()
    made = generate(options.work / "archive", train_clips=1, test_clips=1, frames=160)
    job("extract_stc", "--archive", made.train, "--out", options.work / "stc")
    cubes = len(StcTable(str(options.work / "stc")))
    speeds, losses = {}, {}
    for number, (name, arguments) in enumerate(RUNS.items()):
        last = last_epochs(options.work, f"bundle{number}", options.epochs, arguments)
        speeds[name] = {stage: record["samples_per_s"] for stage, record in last.items()}
        losses[name] = {stage: round(record["loss"], 5) for stage, record in last.items()}
        print(f"{name}: {speeds[name]}", flush=True)
    one, two = speeds["1 worker, 2 threads"], speeds["2 workers, 1 thread each"]
    alone, kept = speeds["1 worker, 1 thread"], speeds["1 worker, 2 threads, all kept in memory"]
    result = {
        "benchmark": "ddp",
        "machine": describe(),
        "unit": "cubes/s in the last epoch",
        "preset": "compact_eq9",
        "batch": 64,
        "cubes": cubes,
        "epochs": options.epochs,
        "load_average": round(os.getloadavg()[0], 1),
        "speeds": speeds,
        "losses": losses,
        "two_workers_against_one_on_the_same_cores": ratios(two, one),
        "two_workers_against_one_thread": ratios(two, alone),
        "kept_in_memory_against_not": ratios(kept, one),
    }
    out = ROOT / "benchmarks" / "results" / "ddp.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {out}")


def ratios(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {stage: round(ours[stage] / theirs[stage], 2) for stage in ours}


def last_epochs(work: Path, name: str, epochs: int, arguments: list[object]) -> dict[str, dict[str, float]]:
    """The record of the last epoch of each stage."""
    out = work / name
    if not (out / "bundle.json").exists():
        stages = [f"--training.{stage}.epochs={epochs}" for stage in ("flow", "frame")]
        job("train", "--stc", work / "stc", "--out", out, "--preset", "compact_eq9", *stages, *arguments)
    records = json.loads((out / "bundle.json").read_text())["provenance"]["history"]
    return {record["stage"]: record for record in records if record["epoch"] == epochs}


def job(name: str, *arguments: object) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local", "OMP_NUM_THREADS": str(CORES)}
    subprocess.run(
        [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)], check=True, env=environment
    )
