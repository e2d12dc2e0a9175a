"""All that wants a GPU, in one command: trains the paper's size on UCSD Ped2, scores the test clips, times all engines.

Example:
    python -m benchmarks gpu --data ../shared/data/ped2 --work /tmp/gpu --minutes 8
    python -m benchmarks gpu --data ../shared/data/ped2 --work /tmp/cpu --device cpu --preset compact_eq9 --minutes 1 \
        --batches 16 --repeats 1                                              # a try without a GPU

`--data` has training/frames, testing/frames (a folder of images a clip; 109 MB as JPEG), boxes.parquet in both and
testing/frame_labels.parquet. Epochs of the three stages are 30, 20 and 10, or, by the rate of a first epoch of the flow
stage, as many in these proportions as --minutes hold. The last epoch is scored; nothing is chosen on labels.

Writes benchmarks/results/gpu.json (rate, epochs, seconds), ped2_<preset>_gpu_published_seed0.json (training, scoring,
AUROC) and engines_<device>.json (fp32, TF32 and bf16 at batches of 64, 1,024 and 8,192, and their AUROC). Run it again
to go on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import save
from benchmarks.ped2 import GFLOP
from benchmarks.processes import ROOT

EPOCHS = {"flow": 30, "frame": 20, "joint": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of UCSD Ped2")
    parser.add_argument("--work", type=Path, required=True, help="folder for cubes, bundle and scores")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training")
    parser.add_argument("--preset", default="ped2", help="a preset with both networks")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--amp", choices=("off", "bf16"), default="off", help="precision of training")
    parser.add_argument("--batches", nargs="+", default=[], help="of the engines; default: those of the device")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of the engines that count")
    parser.add_argument("--engines", nargs="+", default=["eager", "folded", "sparse", "compiled", "aot"])
    options = parser.parse_args()
    stc = options.work / "stc_published"
    seconds = {}

    def run(name: str, *command: object) -> None:
        started = time.monotonic()
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)
        seconds[name] = round(time.monotonic() - started, 1)

    data, preset = options.data.resolve(), ["--preset", options.preset]
    training = ["--device", options.device, "--training.amp", options.amp, "--training.cache-gib", 8]
    extract = [ROOT / "jobs" / "extract_stc.py", "--archive", data / "training" / "frames", "--out", stc, *preset]
    run("extract", *extract, "--boxes", data / "training" / "boxes.parquet")
    first = options.work / "first"
    one = ["--training.stages", "flow", "--training.flow.epochs", 1, "--fusion.frame", 0]
    run("first epoch", ROOT / "jobs" / "train.py", "--stc", stc, "--out", first, *preset, *training, *one)
    (epoch,) = json.loads((first / "bundle.json").read_text())["provenance"]["history"]
    epochs = held(epoch["seconds"], 60 * options.minutes)
    stages = ["--training.stages", *EPOCHS]
    for stage, count in epochs.items():
        stages += [f"--training.{stage}.epochs", str(count)]
    ped2 = ["--data", data, "--work", options.work, *preset, "--label", "gpu"]
    run("train and score", "-m", "benchmarks", "ped2", *ped2, "--train", *training, *stages)
    bundle = options.work / f"ped2_{options.preset}_gpu_published_seed0" / "bundle"
    engines = ["--device", options.device, "--bundle", bundle, "--data", data, "--repeats", options.repeats]
    batches = ["--batches", *options.batches] if options.batches else []
    run("engines", "-m", "benchmarks", "engines", *engines, *batches, "--engines", *options.engines)
    rate = epoch["samples_per_s"]
    save("gpu", {"preset": options.preset, "cubes_per_s": rate, "epochs": epochs, "amp": options.amp, "spent": seconds})


def held(flow_epoch: float, budget: float) -> dict[str, int]:
    """Epochs of each stage that `budget` seconds hold, at least one, by the `flow_epoch` seconds of one flow epoch."""
    whole = sum(count * flow_epoch * GFLOP[stage] / GFLOP["flow"] for stage, count in EPOCHS.items())
    return {stage: max(1, int(count * min(1.0, budget / whole))) for stage, count in EPOCHS.items()}


if __name__ == "__main__":
    main()
