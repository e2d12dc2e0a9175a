"""The paper's failure case (§4.4): someone who runs far from the camera, in pixels and in expected box heights.

Example:
    python -m benchmarks far_runner --work /tmp/far

Renders the demo archive with a far runner, trains on its normal clips, scores the test clips, and compares the parts of
the score as they are and measured in the box heights expected at each image row. Frame AUROC of the far runner's clip,
and micro AUROC over all clips; nothing is chosen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import describe
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.demo.archive import generate
from hf2vad.evaluation.auroc import micro_auroc
from hf2vad.evaluation.labels import read_labels
from hf2vad.schema import FEATURE_COLUMNS
from hf2vad.scoring.scorer import FeatureValues, in_heights
from hf2vad.scoring.smooth import smooth
from hf2vad.tables.read import scored_videos, scores_prefix

ROOT = Path(__file__).resolve().parents[1]
FLOW = ("--training.flow.epochs", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for archive, cubes, bundle and scores")
    parser.add_argument("--steps", type=int, default=40, help="steps of the frame stage")
    options = parser.parse_args()
    work = options.work
    archive = generate(work / "archive", train_clips=6, test_clips=4, frames=160, far_runner=True)

    def run(job: str, *arguments: object) -> None:
        subprocess.run([sys.executable, str(ROOT / "jobs" / f"{job}.py"), *map(str, arguments)], check=True)

    run("extract_stc", "--archive", archive.train, "--out", work / "stc")
    run("train", "--stc", work / "stc", "--out", work / "bundle", "--training.frame.steps", options.steps, *FLOW)
    run("score_archive", "--archive", archive.test, "--bundle", work / "bundle", "--out", work / "scores")
    perspective = load_bundle_settings(str(work / "bundle")).perspective
    assert perspective is not None
    labels = read_labels(str(archive.labels))
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    forms: dict[str, Callable[..., FeatureValues]] = {
        "pixels": lambda values, heights: values,
        "box heights": in_heights,
    }
    for part in ("flow", "speed"):
        for unit, form in forms.items():
            videos = {}
            for video in scored_videos(scores_prefix(str(work / "scores"))):
                objects = pq.read_table(Path(video.prefix, "objects", video.key)).to_pandas()
                heights = perspective.heights(objects[["x1", "y1", "x2", "y2"]].to_numpy(np.float32))
                _, truth = labels[video.video]
                best = np.where(np.arange(len(truth)) < 4, np.nan, 0.0)
                values = {part: objects[FEATURE_COLUMNS[part]].to_numpy()}
                np.maximum.at(best, objects["frame"].to_numpy(), form(values, heights)[part])
                videos[video.video] = (truth[4:], smooth(best, 17)[4:])
            (far,) = [name for name in videos if "far_runner" in name]
            found.setdefault(part, {})[unit] = {
                "far_runner": micro_auroc({far: videos[far]}),
                "all_clips": micro_auroc(videos),
            }
    result = {
        "benchmark": "far_runner",
        "machine": describe(),
        "steps": options.steps,
        "perspective": vars(perspective),
    }
    out = ROOT / "benchmarks" / "results" / "far_runner.json"
    out.write_text(json.dumps({**result, "auroc": found}, indent=2) + "\n")
    print(json.dumps(found, indent=2))
