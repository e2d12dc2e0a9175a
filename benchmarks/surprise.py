"""What features reach on the surprise scale: each alone and added, fitted as `train --preset features` fits them.

Example:
    python jobs/extract_stc.py --archive PED2/training/frames --out train --preset features
    python jobs/extract_stc.py --archive PED2/testing/frames --out test --preset features
    python -m benchmarks surprise --train train --test test --labels PED2/testing/frame_labels.parquet --name ped2

Frame AUROC, micro and macro, over the median of 17 frames. Seeds choose what k-means starts from. Nothing is chosen on
the labels. Writes benchmarks/results/surprise_<name>.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import labelled
from hf2vad.evaluation.auroc import macro_auroc, micro_auroc
from hf2vad.evaluation.bootstrap import draw_videos, interval, resampled_micro
from hf2vad.evaluation.labels import read_labels
from hf2vad.features.registry import feature_classes, networks_for
from hf2vad.features.settings import FEATURES, FusionConfig
from hf2vad.presets import preset
from hf2vad.schema import FRAMES
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.smooth import smooth
from hf2vad.training.calibrate import MeasuredFile, calibrate, measure_files
from hf2vad.training.data import StcTable
from hf2vad.training.folds import Folds
from hf2vad.training.sample import fit_features

ROOT = Path(__file__).resolve().parents[1]
PLAIN = [name for name in FEATURES if not networks_for([name])]
SMOOTHING = 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="STC table of the training archive")
    parser.add_argument("--test", required=True, help="STC table of the test archive")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    train, test = StcTable(options.train), StcTable(options.test)
    labels = labelled(read_labels(options.labels), frame_counts(options.test))
    chosen = preset("features").fusion
    rows: dict[str, list[dict[str, Any]]] = {}
    seconds = []
    for seed in options.seeds:
        started = time.monotonic()
        settings = {name: feature_classes()[name].Settings() for name in PLAIN}
        features, _ = fit_features(train, settings | {"motion": preset("features").density}, seed=seed)
        normal = measure_files(train, FeatureSet(features, None, 1024), folds=Folds.of(train.files))
        seconds.append(round(time.monotonic() - started, 1))
        measured = measure_files(test, FeatureSet(features, None, 1024))
        for name, fusion in fusions(chosen).items():
            own = calibrate(normal, fusion=fusion, smoothing=SMOOTHING, where=options.train).overall
            scorer = Scorer.surprise(fusion, own, own) if fusion.rule == "surprise" else Scorer.eq9(fusion, own)
            rows.setdefault(name, []).append(figures(measured, scorer, labels))
    result = {
        "benchmark": f"surprise_{options.name}",
        "machine": describe(),
        "seeds": options.seeds,
        "fit_seconds": seconds,
        "train_cubes": len(train),
        "test_cubes": len(test),
        "auroc": rows,
    }
    out = ROOT / "benchmarks" / "results" / f"surprise_{options.name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, found in rows.items():
        micro = [100 * row["micro"] for row in found]
        print(f"{name:40} {np.mean(micro):5.1f} / {np.mean([100 * row['macro'] for row in found]):5.1f}  seeds {micro}")


def fusions(chosen: FusionConfig) -> dict[str, FusionConfig]:
    """What is compared: the yardstick, each feature alone, the preset, and the preset with one choice changed."""
    alone = {name: replace(FusionConfig.of({name: 1.0}, rule="surprise"), silent=0.0) for name in PLAIN}
    weights = dict(chosen.weights)
    return {
        **alone,
        "features": chosen,
        "features, added in frames": replace(chosen, at="frame"),
        "features, silent 0": replace(chosen, silent=0.0),
        "features, silent 2": replace(chosen, silent=2.0),
        "features and place": replace(chosen, place=1.0),
        "features and look": replace(chosen, look=1.0),
        "features, Eq. 9": FusionConfig.of(weights),
    }


def figures(measured: list[MeasuredFile], scorer: Scorer, labels: Mapping[str, Any]) -> dict[str, Any]:
    """Micro AUROC with its interval over videos, and macro AUROC."""
    pairs = {}
    for video, (frame, truth) in labels.items():
        files = [file for file in measured if file.file.video == video]
        frames = max(file.file.stop for file in files)
        values = {name: np.concatenate([file.values[name] for file in files]) for name in files[0].values}
        raw = scorer.frame_scores(values, np.concatenate([file.frame for file in files]), frames)
        full = frame >= FRAMES - 1
        pairs[video] = (truth[full], smooth(raw[FRAMES - 1 :], SMOOTHING)[frame[full] - FRAMES + 1])
    bounds, _ = interval(resampled_micro(pairs, draw_videos(len(pairs), 1000, 0)))
    return {"micro": micro_auroc(pairs), "macro": macro_auroc(pairs)[0], "interval": bounds}


def table() -> str:
    """Frame AUROC, micro / macro, mean over seeds, of each feature alone and of their sums."""
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("surprise_*.json"))]

    def cell(rows: list[dict[str, Any]]) -> str:
        return " / ".join(f"{100 * np.mean([row[which] for row in rows]):.1f}" for which in ("micro", "macro"))

    head = ["", *(result["benchmark"].removeprefix("surprise_").replace("_", " ") for result in found)]
    lines = [head, ["---"] * len(head)]
    lines += [[name, *(cell(result["auroc"][name]) for result in found)] for name in found[0]["auroc"]]
    fused = [result["auroc"]["features"] for result in found]
    spread = [
        f"{100 * min(row['interval'][0] for row in rows):.1f} to {100 * max(row['interval'][1] for row in rows):.1f}"
        for rows in fused
    ]
    lines.append(["features, 95 % over videos", *spread])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES = {"surprise": table}
