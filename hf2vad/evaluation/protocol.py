"""The evaluation protocol (METHOD §5, §6): which frames count, and what is computed of them.

Every labelled frame must have a row. Frames without a score (the first four of a video, and those that cannot be
decoded) are dropped and counted. Nothing is chosen on the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.auroc import Labels, macro_auroc, micro_auroc
from hf2vad.evaluation.labels import FrameLabels, read_labels
from hf2vad.evaluation.tables import VideoScores, scored_videos, scores_prefix, stem
from hf2vad.schema import F64
from hf2vad.scoring.fuse import smooth
from hf2vad.storage import join, put_json

PARTS = {"flow_only": "s_flow", "frame_only": "s_frame", "speed_yardstick": "speed"}
"""Figures beside the fused score: frame maximum of one column of the object table, 0 without an object."""


@dataclass(frozen=True, kw_only=True)
class EvaluateJob:
    """Settings of jobs/evaluate.py."""

    scores: str
    """What jobs/score_archive.py wrote: its --out, or one bundle=<id> folder in it."""

    labels: str
    """Parquet file (video, frame, anomalous), or a folder with one text file of 0 and 1 a video."""

    out: str
    """Folder for evaluation.json."""


def evaluate_job(job: EvaluateJob) -> dict[str, Any]:
    """Evaluate and put `evaluation.json`; returns its content.

    Raises EvaluationError when scores and labels do not belong together.
    """
    result = evaluate(scores_prefix(job.scores), read_labels(job.labels))
    put_json(join(job.out, "evaluation.json"), result)
    return result


def evaluate(prefix: str, labels: FrameLabels) -> dict[str, Any]:
    """AUROC of the frame tables under `prefix` against `labels`; holds one number a frame and column.

    Raises EvaluationError when a labelled frame has no row.
    """
    columns: dict[str, dict[str, tuple[Labels, F64]]] = {}
    wanted = dict(labels)
    unlabelled = frames = dropped = anomalous = 0
    smoothing: int | None = None
    bundle = None
    for found in scored_videos(prefix):
        name = found.video if found.video in wanted else stem(found.video)
        if name not in wanted:
            unlabelled += 1
            continue
        smoothing, bundle = int(found.metadata["smoothing"]), found.metadata["bundle"]
        truth, scores = _aligned(found, *wanted.pop(name), smoothing)
        scored = ~np.isnan(scores["score"])
        frames += int(scored.sum())
        dropped += int((~scored).sum())
        anomalous += int(truth[scored].sum())
        for column, values in scores.items():
            columns.setdefault(column, {})[found.video] = (truth[scored], values[scored])
    if wanted:
        names = ", ".join(repr(name) for name in list(wanted)[:3])
        raise EvaluationError(
            f"{len(wanted)} labelled videos have no score table under {prefix}: {names} …; score them first"
        )
    if smoothing is None:
        raise EvaluationError(f"{prefix}: none of its videos is labelled")
    macro, defined = macro_auroc(columns["score"])
    macro_raw, _ = macro_auroc(columns["score_raw"])
    return {
        "auroc_micro": micro_auroc(columns["score"]),
        "auroc_micro_raw": micro_auroc(columns["score_raw"]),
        "auroc_macro": macro,
        "auroc_macro_raw": macro_raw,
        "macro_videos": defined,
        "frames": frames,
        "dropped": dropped,
        "anomalous": anomalous,
        "videos": len(columns["score"]),
        "videos_unlabelled": unlabelled,
        **{
            part: {"micro": micro_auroc(columns[part]), "micro_raw": micro_auroc(columns[part + "_raw"])}
            for part in PARTS
        },
        "per_video": {video: micro_auroc({video: pair}) for video, pair in columns["score"].items()},
        "smoothing": smoothing,
        "bundle": bundle,
        "chosen_on_labels": "nothing",
    }


def _aligned(
    found: VideoScores, frame: np.ndarray[tuple[int], np.dtype[np.int64]], truth: Labels, smoothing: int
) -> tuple[Labels, dict[str, F64]]:
    """Labels of a video, and the values of its labelled frames column by column, smoothed and raw."""
    table = found.table("frames")
    rows = table["frame"].to_numpy()
    positions = np.searchsorted(rows, frame)
    there = (positions < len(rows)) & (rows[np.minimum(positions, len(rows) - 1)] == frame) if len(rows) else frame < 0
    if not there.all():
        missing = frame[~there]
        some = ", ".join(map(str, missing[:3]))
        raise EvaluationError(
            f"{found.video!r}: {len(missing)} labelled frames have no row ({some} …); score the whole video"
        )
    columns = {"score": _values(table, "score"), "score_raw": _values(table, "score_raw")}
    objects = found.table("objects")
    first = int(rows[0])
    for part, column in PARTS.items():
        best = np.where(np.isnan(columns["score_raw"]), np.nan, 0.0)
        np.maximum.at(best, objects["frame"].to_numpy() - first, objects[column].to_numpy().astype(np.float64))
        columns[part + "_raw"], columns[part] = best, smooth(best, smoothing)
    return truth, {name: values[positions] for name, values in columns.items()}


def _values(table: pa.Table, column: str) -> F64:
    return np.asarray(table[column].to_numpy(), np.float64)
