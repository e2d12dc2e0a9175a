"""A video's score over time, in few points."""

from __future__ import annotations

import numpy as np

from hf2vad.evaluation.labels import FrameLabels
from hf2vad.schema import F64
from hf2vad.tables.read import name_in
from hf2vad.video.times import runs

MOST_POINTS = 2000
"""Points of a curve; of a longer video, each is the highest frame of some."""


def thinned(seconds: F64, score: F64) -> tuple[list[float], list[float | None]]:
    """Times and scores of at most MOST_POINTS frames, the highest of each stretch; None where no frame has a score."""
    count = len(score)
    length = max(1, -(-count // MOST_POINTS))
    padded = np.full(-(-count // length) * length, -np.inf)
    padded[:count] = np.where(np.isnan(score), -np.inf, score)
    starts = np.arange(0, len(padded), length)
    best = np.minimum(starts + padded.reshape(-1, length).argmax(axis=1), count - 1)
    times = [round(float(value), 3) for value in seconds[best]]
    return times, [None if np.isnan(value) else round(float(value), 4) for value in score[best]]


def labelled_spans(video: str, frames: F64, seconds: F64, labels: FrameLabels) -> list[list[float]] | None:
    """Start and end in seconds of what ground truth calls anomalous; none for a video that it does not know.

    frames: numbers of the video's scored frames, ascending; seconds: their times.
    """
    name = name_in(labels, video)
    if name is None:
        return None
    numbers, anomalous = labels[name]
    inside = np.isin(frames, numbers[anomalous])
    return [[round(float(seconds[start]), 3), round(float(seconds[stop - 1]), 3)] for start, stop in runs(inside)]
