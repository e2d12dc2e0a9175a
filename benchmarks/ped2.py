r"""UCSD Ped2 from frames to AUROC, through the jobs as a user runs them; one JSON with figures and times.

Example:
    python -m benchmarks ped2 --data ../shared/data/ped2 --work /tmp/ped2 --boxes published
    python -m benchmarks ped2 --data ../shared/data/ped2 --work /tmp/ped2 --boxes both --detector yolox_nano.onnx
    python -m benchmarks ped2 --data ../shared/data/ped2 --work /tmp/ped2 --label select --train --select

On a GPU, at the paper's size, all three stages; the result has the arithmetic that each stage achieved:
    python -m benchmarks ped2 --data PATH --work /tmp/ped2 --preset ped2 --label paper \
        --train --training.stages flow frame joint --training.amp bf16 --training.cache-gib 8

`--data` has training/frames, testing/frames (a folder of images a clip), testing/frame_labels.parquet and, for
`--boxes published`, {training,testing}/boxes.parquet. Nothing is chosen on the test labels: the last epoch is scored.
Run it again to go on where it stopped; times are then those of the part that was left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parents[1]

GFLOP = {"flow": 1.7, "frame": 8.2, "joint": 12.7}
"""Forward and backward pass of one cube at the paper's size, by stage; the frame stage's includes 2.3 for the frozen
reconstructions, which are computed in its first epoch alone where they are kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of UCSD Ped2")
    parser.add_argument("--work", type=Path, required=True, help="folder for cubes, bundle and scores")
    parser.add_argument(
        "--boxes", choices=("published", "motion", "both"), default="published", help="both: motion and --detector"
    )
    parser.add_argument("--detector", type=Path, help="ONNX network for --boxes both; tiles of 256 pixels too")
    parser.add_argument("--label", default="", help="what --train changes, in the result's name")
    parser.add_argument("--preset", default="compact", help="preset of jobs/train.py")
    parser.add_argument("--seed", type=int, default=0, help="seed of training")
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="more options of jobs/train.py; last")
    options = parser.parse_args()
    label = f"_{options.label}" if options.label else ""
    name = f"ped2_{options.preset}{label}_{options.boxes}_seed{options.seed}"
    work = options.work / name
    seconds = {}

    def run(job: str, *arguments: object) -> None:
        started = time.monotonic()
        subprocess.run([sys.executable, str(ROOT / "jobs" / f"{job}.py"), *map(str, arguments)], check=True)
        seconds[job] = round(time.monotonic() - started, 1)

    def boxes(part: str) -> list[object]:
        return ["--boxes", options.data / part / "boxes.parquet"] if options.boxes == "published" else []

    detector = []
    if options.boxes == "both":
        detector = ["--detector.kinds", "onnx", "motion", "--detector.model", options.detector]
        detector += ["--detector.tile", 256, "--detector.confidence", 0.3]

    training = ["--training.seed", options.seed, *options.train]
    stc = options.work / f"stc_{options.boxes}"
    frames = {part: options.data / part / "frames" for part in ("training", "testing")}
    preset = ["--preset", options.preset]
    run("extract_stc", "--archive", frames["training"], "--out", stc, *preset, *boxes("training"), *detector)
    run("train", "--stc", stc, "--out", work / "bundle", *preset, *training)
    scored = ["--archive", frames["testing"], "--bundle", work / "bundle", "--out", work / "scores"]
    run("score_archive", *scored, *boxes("testing"))
    labels = options.data / "testing" / "frame_labels.parquet"
    run("evaluate", "--scores", work / "scores", "--labels", labels, "--out", work)
    bundle = json.loads((work / "bundle" / "bundle.json").read_text())
    result = {
        "benchmark": name,
        "machine": describe(),
        "boxes": options.boxes,
        "preset": options.preset,
        "label": options.label,
        "seed": options.seed,
        "seconds": seconds,
        "model": bundle["model"],
        "fusion": bundle["fusion"],
        "density": bundle["density"],
        "selection": bundle["provenance"]["selection"],
        "cubes": bundle["calibration"]["cubes"],
        "stages": stages(bundle["provenance"]["history"], paper_size=bundle["model"]["flow_root"] == 32),
        "history": bundle["provenance"]["history"],
        "evaluation": json.loads((work / "evaluation.json").read_text()),
    }
    out = ROOT / "benchmarks" / "results" / f"{name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {out}")


def stages(history: list[dict[str, Any]], *, paper_size: bool) -> dict[str, dict[str, float]]:
    """Time, cubes a second and, at the paper's size, TFLOP/s of each stage."""
    found = {}
    for stage in dict.fromkeys(record["stage"] for record in history):
        records = [record for record in history if record["stage"] == stage]
        seconds = sum(record["seconds"] for record in records)
        rate = sum(record["samples_per_s"] * record["seconds"] for record in records) / seconds
        found[stage] = {"epochs": len(records), "seconds": round(seconds, 1), "cubes_per_s": round(rate, 1)}
        if paper_size:
            found[stage]["tflop_per_s"] = round(rate * GFLOP[stage] / 1000, 2)
    return found
