"""Events: runs of frames with a high score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.calibration import Calibration
from hf2vad.schema import F64
from hf2vad.scoring.settings import EventConfig
from hf2vad.video.times import runs


@dataclass(frozen=True)
class Event:
    """Frames `start` … `stop` (exclusive) of a video, and the highest scoring one of them."""

    start: int
    stop: int
    peak: int


@dataclass(frozen=True)
class HighRun:
    """Frames `start` … `stop` (exclusive) at or above the low threshold, and the highest score of them."""

    start: int
    stop: int
    peak: float


def thresholds(config: EventConfig, calibration: Calibration) -> tuple[float, float]:
    """Score at which an event starts, and down to which it extends."""
    high = calibration.threshold if config.threshold is None else config.threshold
    low = min(calibration.low, high) if config.low is None else min(config.low, high)
    return high, low


def find_events(
    scores: F64, config: EventConfig, calibration: Calibration, between: npt.NDArray[np.bool_] | None = None
) -> list[Event]:
    """The events in the (frames,) smoothed scores of a video, in order and disjoint.

    Hysteresis: an event is a run of frames at or above the low threshold that reaches the high one. Runs with at most
    `merge_gap` frames between them are one event; what is then shorter than `min_length` is none. Frames without a
    score (NaN) are below every threshold.

    between: (frames,) which frames were not worked on, and so have no objects: none is a peak where another can be.
    """
    high, low = thresholds(config, calibration)
    events = events_above(high, high_runs(scores, low), config)
    peaks = np.nan_to_num(scores, nan=-np.inf)
    if between is not None:
        peaks[between] = np.minimum(peaks[between], np.finfo(np.float64).min / 2)
    return [Event(start, stop, start + int(peaks[start:stop].argmax())) for start, stop in events]


def high_runs(scores: F64, low: float) -> list[HighRun]:
    """The runs of frames at or above `low`: what events are made of, whatever the high threshold."""
    comparable = np.where(np.isnan(scores), -np.inf, scores)
    return [HighRun(start, stop, float(comparable[start:stop].max())) for start, stop in runs(comparable >= low)]


def events_above(high: float, candidates: Iterable[HighRun], config: EventConfig) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each event that a video's runs make when it must reach `high`."""
    merged: list[tuple[int, int]] = []
    for run in candidates:
        if run.peak < high:
            continue
        if merged and run.start - merged[-1][1] <= config.merge_gap:
            merged[-1] = (merged[-1][0], run.stop)
        else:
            merged.append((run.start, run.stop))
    return [(start, stop) for start, stop in merged if stop - start >= config.min_length]
