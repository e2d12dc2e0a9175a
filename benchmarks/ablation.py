"""The ablations on UCSD Ped2, through the job as a user runs it; one JSON with all rows and the machine.

Example:
    python -m benchmarks ablation --data ../shared/data/ped2 --work /tmp/ablation
    python -m benchmarks ablation --data ../shared/data/ped2 --work /tmp/ablation --boxes published --more --seeds 0 1 2

`--data` has training/frames, testing/frames (a folder of images a clip), testing/frame_labels.parquet and, for
`--boxes published`, {training,testing}/boxes.parquet. Run it again to go on where it stopped. With the defaults, motion
boxes and one seed, two cores need about 40 minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("train", "test", "labels", "out", "boxes_train", "boxes_test", "ray")
"""Settings that say where things were, not what was done."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of UCSD Ped2")
    parser.add_argument("--work", type=Path, required=True, help="folder for cubes, networks and scores")
    parser.add_argument("--boxes", choices=("published", "motion"), default="motion", help="where boxes come from")
    parser.add_argument("--name", default="ablation_ped2", help="name of the result in benchmarks/results")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="more options of jobs/ablate.py; last")
    options = parser.parse_args()
    train, test = options.data / "training", options.data / "testing"
    command = [sys.executable, ROOT / "jobs" / "ablate.py", "--train", train / "frames", "--test", test / "frames"]
    command += ["--labels", test / "frame_labels.parquet", "--out", options.work]
    if options.boxes == "published":
        command += ["--boxes-train", train / "boxes.parquet", "--boxes-test", test / "boxes.parquet"]
    done = subprocess.run([*map(str, command), *options.more])
    if done.returncode not in (0, 3):
        return done.returncode
    found = json.loads((options.work / "ablation.json").read_text())
    found["settings"] = {name: value for name, value in found["settings"].items() if name not in PLACES}
    found["settings"]["detector"]["model"] = Path(found["settings"]["detector"]["model"]).name
    result = {**found, "benchmark": options.name, "boxes": options.boxes, "machine": describe()}
    out = ROOT / "benchmarks" / "results" / f"{options.name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {out}")
    return done.returncode
