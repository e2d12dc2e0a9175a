"""What the parts of a score reach that need no network: plain speed and motion densities, on two STC tables.

Example:
    python jobs/extract_stc.py --archive PED2/training/frames --out train --preset compact
    python jobs/extract_stc.py --archive PED2/testing/frames --out test --preset compact
    python -m benchmarks network_free --train train --test test --labels PED2/testing/frame_labels.parquet --name motion

Each part in deviations from its mean over the training cubes, equal weights; a frame's score is its highest, then the
median over 17. Seeds choose the exemplars, and start the mixture. Writes benchmarks/results/network_free_<name>.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import Cubes, frame_scores, labelled
from hf2vad.evaluation.auroc import micro_auroc
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.feature import CubeArrays
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.speed import flow_speed
from hf2vad.fitting.sample import cube_sample
from hf2vad.scoring.scorer import Scorer, ZScore
from hf2vad.training.data import StcTable

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)
DENSITIES = {
    f"{kind}{', box heights' if height == 'perspective' else ''}": (kind, height)
    for kind in ("knn", "gmm")
    for height in ("none", "perspective")
}
SCORES = [("speed",), ("speed, box heights",), *((name,) for name in DENSITIES), *(("speed", n) for n in DENSITIES)]


def parts(train: StcTable, table: StcTable, seed: int) -> dict[str, np.ndarray]:
    """Each part of all cubes of `table`, fitted on `train`."""
    sample = cube_sample(train, seed=seed)
    densities = {
        name: Motion(DensityConfig(kind=kind, height=height)).fit(sample)  # type: ignore[arg-type]
        for name, (kind, height) in DENSITIES.items()
    }
    found: dict[str, list[np.ndarray]] = {}
    for _, cubes in table.in_order(appearance=False):
        speed = flow_speed(cubes.flow)
        found.setdefault("speed", []).append(speed)
        found.setdefault("speed, box heights", []).append(speed / sample.perspective.heights(cubes.boxes))
        for name, density in densities.items():
            arrays = CubeArrays(boxes=cubes.boxes, flow=cubes.flow, appearance=None)
            found.setdefault(name, []).append(density.measure(arrays))
    return {name: np.concatenate(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="STC table of the training archive")
    parser.add_argument("--test", required=True, help="STC table of the test archive")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    options = parser.parse_args()
    train, test = StcTable(options.train), StcTable(options.test)
    where = [(file.video, cubes.frame) for file, cubes in test.in_order(appearance=False)]
    videos = np.array([video for video, frame in where for _ in frame], object)
    cubes = Cubes(videos, np.concatenate([frame for _, frame in where]), frame_counts(options.test))
    labels = labelled(read_labels(options.labels), cubes.frames)
    figures: dict[str, dict[str, list[float | None]]] = {}
    for seed in SEEDS:
        normal, found = parts(train, train, seed), parts(train, test, seed)
        scales = {name: ZScore(values.mean(dtype=float), values.std(dtype=float)) for name, values in normal.items()}
        for names in SCORES:
            scorer = Scorer(dict.fromkeys(names, 1.0), scales)
            raw = frame_scores(scorer.score(found), scorer.empty, cubes)
            for form, smoothing in (("smoothed", Smoothing("median", 17)), ("raw", Smoothing("none", 1))):
                pairs = {}
                for video, (frame, truth) in labels.items():
                    values = smoothing(raw[video])[frame]
                    there = ~np.isnan(values)
                    pairs[video] = (truth[there], values[there])
                figures.setdefault(" + ".join(names), {}).setdefault(form, []).append(micro_auroc(pairs))
    result = {"benchmark": f"network_free_{options.name}", "machine": describe(), "seeds": SEEDS}
    counts = {"train_cubes": len(train), "test_cubes": len(test)}
    out = ROOT / "benchmarks" / "results" / f"network_free_{options.name}.json"
    out.write_text(json.dumps({**result, **counts, "auroc": figures}, indent=2) + "\n")
    for name, found_ in figures.items():
        print(f"{name}: {found_}")
