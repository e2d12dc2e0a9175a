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
    """Frames `start` … `stop` (exclusive) of a video."""

    start: int
    stop: int
    peak: int
    """The frame that shows it."""
    score: float
    """The highest smoothed score of its frames."""


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
    scores: F64,
    config: EventConfig,
    calibration: Calibration,
    raw: F64 | None = None,
    between: npt.NDArray[np.bool_] | None = None,
) -> list[Event]:
    """The events in the (frames,) smoothed scores of a video, in order and disjoint.

    Hysteresis: an event is a run of frames at or above the low threshold that reaches the high one. Runs with at most
    `merge_gap` frames between them are one event; what is then shorter than `min_length` is none. Frames without a
    score (NaN) are below every threshold.

    raw: (frames,) scores before smoothing. A frame of the highest smoothed score may show nothing unusual, so the peak
    is the nearest frame whose own score is as high. between: (frames,) which frames were not worked on, and so have no
    objects: none is a peak where another can be.
    """
    high, low = thresholds(config, calibration)
    events = events_above(high, high_runs(scores, low), config)
    peaks = np.nan_to_num(scores, nan=-np.inf)
    own = peaks if raw is None else np.nan_to_num(raw, nan=-np.inf)
    worked = np.ones(len(scores), np.bool_) if between is None else ~between
    return [_event(start, stop, peaks, own, worked) for start, stop in events]


def _event(start: int, stop: int, scores: F64, own: F64, worked: npt.NDArray[np.bool_]) -> Event:
    """scores, own, worked: (frames,) smoothed scores and those before, -inf for none, and which frames have objects."""
    inside = np.arange(start, stop)
    highest = start + int(scores[start:stop].argmax())
    looked_at = inside[worked[inside]] if worked[inside].any() else inside
    showing = looked_at[own[looked_at] >= scores[highest]]
    if not len(showing):
        showing = looked_at[scores[looked_at] == scores[looked_at].max()]
    return Event(start, stop, int(showing[np.abs(showing - highest).argmin()]), float(scores[highest]))


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
