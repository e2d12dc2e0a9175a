"""Area under the ROC curve, over frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hf2vad.schema import F64

Labels = np.ndarray[tuple[int], np.dtype[np.bool_]]
Pairs = Mapping[str, tuple[Labels, F64]]
"""Labels and scores of the counted frames, by video."""


def auroc(labels: Labels, scores: F64) -> float | None:
    """The chance that an anomalous frame scores above a normal one; none where only one kind is there."""
    if labels.all() or not labels.any():
        return None
    from sklearn.metrics import roc_auc_score  # seconds and megabytes that only evaluation pays

    return float(roc_auc_score(labels, scores))


def micro_auroc(videos: Pairs) -> float | None:
    """Over the frames of all videos together, without normalising a video (the paper's measure)."""
    if not videos:
        return None
    labels, scores = zip(*videos.values(), strict=True)
    return auroc(np.concatenate(labels), np.concatenate(scores))


def macro_auroc(videos: Pairs) -> tuple[float | None, int]:
    """Mean over the videos in which it is defined, those with frames of both kinds, and how many those are."""
    defined = [value for labels, scores in videos.values() if (value := auroc(labels, scores)) is not None]
    return (float(np.mean(defined)) if defined else None), len(defined)


def padded_macro_auroc(videos: Pairs) -> float | None:
    """Mean over all videos, each padded with one normal frame below and one anomalous frame above all its scores.

    The padding defines it for videos of one kind, where it is then high whatever the scores say: random scores reach
    0.69 on Ped2. It is here to be compared with figures that others computed that way, and for nothing else.
    """
    padded = [
        auroc(np.r_[labels, False, True], np.r_[scores, scores.min() - 1, scores.max() + 1])
        for labels, scores in videos.values()
        if len(labels)
    ]
    return float(np.mean(padded)) if padded else None  # type: ignore[arg-type]
