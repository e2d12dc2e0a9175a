"""Fusion weights chosen on the test labels: an oracle, reported as such or not at all.

It bounds what fusion can reach on a data set. It is not an accuracy: nobody has the labels of the footage to come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.auroc import micro_auroc
from hf2vad.evaluation.frames import Part, collect
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evaluation.settings import Protocol
from hf2vad.models.settings import NETWORKS
from hf2vad.schema import F64, FEATURE_COLUMNS
from hf2vad.scoring.scorer import Scale, Scorer, ZScore
from hf2vad.tables.read import name_in, scored_videos

SMALLER = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Weights of one error where that of the other is 1; the paper's three pairs are among them."""
GRID = [*((1.0, weight) for weight in SMALLER), *((weight, 1.0) for weight in reversed(SMALLER[:-1]))]
"""Pairs of weights (flow, frame)."""


def oracle_fusion(prefix: str, labels: FrameLabels, protocol: Protocol) -> dict[str, Any]:
    """The weights of GRID with the highest micro AUROC, smoothed, on `labels`; the first of equals.

    Eq. 9 over S_r and S_p, each divided by its deviation over the objects at hand (means cancel in an AUROC). Raises
    EvaluationError as `collect` does, and where one of the two was not computed.
    """
    deviations = _deviations(prefix, labels)
    scales: dict[str, Scale] = {
        network: ZScore(0.0, float(std)) for network, std in zip(NETWORKS, deviations, strict=True)
    }
    weighted = {f"{flow} {frame}": _weighted(Scorer({"flow": flow, "frame": frame}, scales)) for flow, frame in GRID}
    frames = collect(prefix, labels, protocol, weighted)
    reached = [micro_auroc(frames.pairs(name)) for name in weighted]
    comparable = [-1.0 if value is None else value for value in reached]
    best = int(np.argmax(comparable))
    flow, frame = GRID[best]
    return {
        "auroc_micro": reached[best],
        "auroc_micro_raw": micro_auroc(frames.pairs(f"{flow} {frame}_raw")),
        "flow": flow,
        "frame": frame,
        "tried": len(GRID),
        "chosen_on": "the labels that it is measured on: an oracle, not an accuracy",
    }


def _weighted(scorer: Scorer) -> Part:
    def values(objects: pa.Table) -> F64:
        return scorer.score({network: objects[FEATURE_COLUMNS[network]].to_numpy() for network in NETWORKS})

    return values


def _deviations(prefix: str, labels: FrameLabels) -> F64:
    """(2,): deviation of S_r and S_p over the objects of all labelled videos, which are read one at a time."""
    count, mean, squares = 0, np.zeros(2), np.zeros(2)
    for tables in scored_videos(prefix):
        if name_in(labels, tables.video) is None:
            continue
        objects = tables.table("objects").select([FEATURE_COLUMNS[network] for network in NETWORKS])
        if any(column.null_count for column in objects.columns):
            raise EvaluationError(f"{tables.video!r}: --oracle needs S_r and S_p; score again with --all-parts")
        values = np.stack([np.asarray(column.to_numpy(), np.float64) for column in objects.columns])
        if number := values.shape[1]:
            shift = values.mean(axis=1) - mean
            squares += ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
            squares += shift**2 * count * number / (count + number)
            count, mean = count + number, mean + shift * number / (count + number)
    if not (squares > 0).all():
        raise EvaluationError(f"{prefix}: --oracle needs objects whose errors differ, and there are {count} objects")
    return np.asarray(np.sqrt(squares / count), np.float64)
