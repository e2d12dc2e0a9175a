"""Area under the ROC curve, over frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import roc_auc_score

from hf2vad.schema import F64

Labels = np.ndarray[tuple[int], np.dtype[np.bool_]]


def auroc(labels: Labels, scores: F64) -> float | None:
    """The chance that an anomalous frame scores above a normal one; none where only one kind is there."""
    if labels.all() or not labels.any():
        return None
    return float(roc_auc_score(labels, scores))


def micro_auroc(videos: Mapping[str, tuple[Labels, F64]]) -> float | None:
    """Over the frames of all videos together, without normalising a video (the paper's measure)."""
    if not videos:
        return None
    labels, scores = zip(*videos.values(), strict=True)
    return auroc(np.concatenate(labels), np.concatenate(scores))


def macro_auroc(videos: Mapping[str, tuple[Labels, F64]]) -> tuple[float | None, int]:
    """Mean over the videos in which it is defined, those with frames of both kinds, and how many those are."""
    defined = [value for labels, scores in videos.values() if (value := auroc(labels, scores)) is not None]
    return (float(np.mean(defined)) if defined else None), len(defined)
