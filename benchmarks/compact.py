"""What `compact` reaches on tables of cubes: its network alone, its features, both; trained as `hf2vad train` trains.

Example:
    python jobs/extract_stc.py --archive PED2/training/frames --out train --preset compact
    python jobs/extract_stc.py --archive PED2/testing/frames --out test --preset compact
    python -m benchmarks compact --train train --test test --labels PED2/testing/frame_labels.parquet --name ped2 \
        --work bundles --seeds 0 1 2

Frame AUROC, micro and macro, over the median of 17 frames at 10 a second, of the last epoch. Nothing is chosen on the
labels. Bundles stay in --work, and are not trained again. Writes benchmarks/results/compact_<name>.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.surprise import ROOT, figures
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import labelled
from hf2vad.bundle.bundle import Bundle, load_bundle
from hf2vad.bundle.calibration import Calibration
from hf2vad.engines.eager import EagerEngine
from hf2vad.evaluation.labels import read_labels
from hf2vad.features.registry import networks_for
from hf2vad.features.settings import YARDSTICK, FusionConfig
from hf2vad.fitting.measure import MeasuredFile, measure_files
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.presets import preset
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import FeatureValues, Scorer, Surprise
from hf2vad.training.data import StcTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="STC table of the training archive")
    parser.add_argument("--test", required=True, help="STC table of the test archive")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--work", required=True, type=Path, help="where bundles are")
    parser.add_argument("--fps", type=float, default=10.0, help="frames a second, for alarms an hour (Ped2: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    labels = labelled(read_labels(options.labels), frame_counts(options.test))
    rows: dict[str, list[dict[str, Any]]] = {}
    seconds: list[float] = []
    for seed in options.seeds:
        bundle = trained(options.train, options.work / f"{options.name}_{seed}", seed)
        seconds.append(sum(epoch["seconds"] for epoch in bundle.provenance["history"]))
        measured = measure(bundle, StcTable(options.test))
        for name, scorer in scorers(bundle).items():
            scores = OneCamera(scorer, bundle.settings.calibration)
            rows.setdefault(name, []).append(figures(measured, scores, labels, options.fps))
    result = {
        "benchmark": f"compact_{options.name}",
        "machine": describe(),
        "load_average": round(os.getloadavg()[0], 1),
        "seeds": options.seeds,
        "train_seconds": seconds,
        "train_cubes": len(StcTable(options.train)),
        "test_cubes": len(StcTable(options.test)),
        "auroc": rows,
    }
    out = ROOT / "benchmarks" / "results" / f"compact_{options.name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, found in rows.items():
        print(f"{name:40} {cell(found)}")


@dataclass(frozen=True)
class OneCamera:
    """Scores all footage as one camera's."""

    scorer: Scorer
    calibration: Calibration

    def of(self, file: MeasuredFile) -> tuple[Scorer, FeatureValues, Calibration]:
        """The scorer, the file's values, and the calibration that says what is an event in it."""
        return self.scorer, file.values, self.calibration


def trained(table: str, out: Path, seed: int) -> Bundle:
    """The bundle of `compact` for a table."""
    if not (out / "bundle.json").exists():
        job = TrainJob.base({"preset": "compact"})
        training = replace(job.training, seed=seed, tensorboard=False)
        assert train_job(replace(job, stc=table, out=str(out), training=training, threads=torch.get_num_threads())) == 0
    return load_bundle(str(out))


def measure(bundle: Bundle, table: StcTable) -> list[MeasuredFile]:
    """Its features, and the yardstick, of all cubes of a table."""
    weights = bundle.settings.fusion.weights
    networks, device = networks_for(weights), torch.device("cpu")
    engine = EagerEngine(bundle.build(device), device=device, batch=64, networks=networks)
    return measure_files(table, FeatureSet.of(bundle, [*weights, YARDSTICK], engine, engine.batch))


def scorers(bundle: Bundle) -> Mapping[str, Scorer]:
    """What is compared: the yardstick and each feature alone, the features without the network, and all of them."""
    own = bundle.settings.calibration
    # Without the scale of the sums: it changes no order, and bundles that differ in how features are added serve too.
    whole = replace(Scorer.surprise(preset("compact").fusion, own, own), total=None)
    plain = {name: weight for name, weight in whole.weights.items() if not networks_for([name])}
    alone = {name: Scorer({name: 1.0}, {name: Surprise(own.tails[name], 0.0)}) for name in whole.weights}
    return {
        YARDSTICK: Scorer.eq9(FusionConfig.of({YARDSTICK: 1.0}), own),
        **alone,
        "without the network": replace(whole, weights=plain),
        "compact": whole,
        "compact, added in frames": replace(whole, at_frame=True),
        "compact, norm 4": replace(whole, norm=4.0),
    }


def cell(rows: list[dict[str, Any]]) -> str:
    """Micro ± deviation over seeds / macro, in percent."""
    micro, macro = (np.array([100 * row[which] for row in rows]) for which in ("micro", "macro"))
    return f"{micro.mean():.1f}{f' ± {micro.std(ddof=1):.1f}' if len(rows) > 1 else ''} / {macro.mean():.1f}"


def table() -> str:
    """Frame AUROC of `compact` and its parts, mean ± standard deviation over seeds."""
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("compact_*.json"))]
    head = ["", *(result["benchmark"].removeprefix("compact_").replace("_", " ") for result in found)]
    lines = [head, ["---"] * len(head), ["seeds", *(str(len(result["seeds"])) for result in found)]]
    lines += [[name, *(cell(result["auroc"][name]) for result in found)] for name in found[0]["auroc"]]
    spread = [
        f"{100 * min(row['interval'][0] for row in rows):.1f} to {100 * max(row['interval'][1] for row in rows):.1f}"
        for rows in (result["auroc"]["compact"] for result in found)
    ]
    lines.append(["compact, 95 % over videos", *spread])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES = {"compact": table}
