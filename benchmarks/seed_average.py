"""Several seeds averaged: the mean of their fused scores, box by box, against each alone.

Example:
    python benchmarks/seed_average.py --labels ped2/testing/frame_labels.parquet --name compact_published \\
        --scores work/ped2_compact_published_seed0/scores work/ped2_compact_published_seed1/scores

The runs must have scored the same boxes. Writes benchmarks/results/seed_average_<name>.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from machine import describe

from hf2vad.evaluation.auroc import micro_auroc
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.tables import VideoScores, scored_videos, scores_prefix
from hf2vad.scoring.fuse import smooth

ROOT = Path(__file__).resolve().parents[1]


def frame_scores(videos: list[VideoScores], count: int) -> np.ndarray:
    """(count,) smoothed frame maxima of the mean score of each box; a frame without a box takes the mean of theirs."""
    objects = [pq.read_table(Path(video.prefix, "objects", video.key)) for video in videos]
    frames = [pq.read_table(Path(video.prefix, "frames", video.key)) for video in videos]
    assert all(
        table.select(["frame", "x1", "y1"]).equals(objects[0].select(["frame", "x1", "y1"])) for table in objects
    )
    raw = np.mean([table["score_raw"].to_numpy() for table in frames], axis=0)
    mean = np.mean([table["score"].to_numpy() for table in objects], axis=0)
    boxed = np.unique(objects[0]["frame"].to_numpy())
    raw[boxed] = -np.inf
    np.maximum.at(raw, objects[0]["frame"].to_numpy(), mean)
    return smooth(raw, int(videos[0].metadata["smoothing"]))[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", nargs="+", required=True, help="what score_archive.py wrote, one folder a seed")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    options = parser.parse_args()
    labels = read_labels(options.labels)
    runs = [{v.video: v for v in scored_videos(scores_prefix(place))} for place in options.scores]

    def figure(chosen: list[dict[str, VideoScores]]) -> float | None:
        pairs = {}
        for video, (frame, truth) in labels.items():
            score = frame_scores([run[video] for run in chosen], int(frame[-1]) + 1)[frame]
            scored = ~np.isnan(score)
            pairs[video] = (truth[scored], score[scored])
        return micro_auroc(pairs)

    found = {"alone": [figure([run]) for run in runs], "averaged": figure(runs)}
    result = {"benchmark": f"seed_average_{options.name}", "machine": describe(), **found}
    out = ROOT / "benchmarks" / "results" / f"seed_average_{options.name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
