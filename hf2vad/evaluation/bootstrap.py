"""Bootstrap intervals over videos: how much a figure depends on the choice of videos.

Frames of one video are alike, so videos are drawn and not frames. All figures of an evaluation are computed on the same
draws: two of them can be compared draw by draw.
"""

from __future__ import annotations

import numpy as np

from hf2vad.evaluation.auroc import Pairs, auroc
from hf2vad.schema import F64

LEVEL = 0.95
"""Share of the resampled figures that an interval holds, between percentiles."""


def draw_videos(videos: int, resamples: int, seed: int) -> F64:
    """(resamples, videos): how often each video is in each resample, of as many videos as there are."""
    drawn = np.random.default_rng(seed).integers(videos, size=(resamples, videos))
    counts = np.zeros((resamples, videos))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    return counts


def resampled_micro(videos: Pairs, counts: F64) -> F64:
    """(resamples,): micro AUROC of each resample; NaN where a resample has frames of one kind only.

    AUROC is a share of pairs of an anomalous and a normal frame, so how many of the pairs between two videos are in the
    right order is counted once, and weighted by how often both were drawn. One column of videos is held at a time.
    """
    labels, scores = zip(*videos.values(), strict=True)
    anomalous = np.concatenate([s[mark] for mark, s in zip(labels, scores, strict=True)])
    owner = np.repeat(np.arange(len(labels)), [mark.sum() for mark in labels])
    ordered = np.zeros(len(counts))
    for number, (mark, values) in enumerate(zip(labels, scores, strict=True)):
        normal = np.sort(values[~mark])
        below = np.searchsorted(normal, anomalous, "left") + np.searchsorted(normal, anomalous, "right")
        wins = np.bincount(owner, weights=below / 2, minlength=len(labels))
        ordered += counts[:, number] * (counts @ wins)
    pairs = (counts @ [mark.sum() for mark in labels]) * (counts @ [(~mark).sum() for mark in labels])
    return _ratio(ordered, pairs)


def resampled_macro(videos: Pairs, counts: F64) -> F64:
    """(resamples,): macro AUROC of each resample; NaN where it is defined in none of the videos drawn."""
    each = np.array([auroc(*pair) for pair in videos.values()], float)  # None becomes NaN
    defined = ~np.isnan(each)
    return _ratio(counts[:, defined] @ each[defined], counts[:, defined].sum(axis=1))


def _ratio(values: F64, by: F64) -> F64:
    """NaN where `by` is 0."""
    return np.asarray(np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0))


def interval(resampled: F64) -> tuple[list[float] | None, int]:
    """The percentile interval of a figure, and in how many resamples it was undefined, which are skipped."""
    defined = resampled[~np.isnan(resampled)]
    skipped = len(resampled) - len(defined)
    if not len(defined):
        return None, skipped
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)], skipped
