"""Gaps and changed frame rates in the times of frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hf2vad.health.settings import HealthConfig
from hf2vad.schema import F64
from hf2vad.video.times import median_step, runs


def gaps(pts_s: F64, factor: float) -> Iterator[tuple[int, float]]:
    """Frames that come more than `factor` median steps after the one before, and by how many seconds too late."""
    steps, usual = np.diff(pts_s), median_step(pts_s)
    for i in np.flatnonzero(steps > factor * usual):
        yield int(i) + 1, float(steps[i] - usual)


def odd_rates(pts_s: F64, config: HealthConfig) -> Iterator[tuple[int, int, float]]:
    """Runs (start, stop) of frames whose local rate, in frames a second, is not the video's; and that rate.

    The local rate is that of `rate_s` seconds around a frame, gaps left out; the video's is the median step's. A video
    of less than twice that has one rate.
    """
    usual = median_step(pts_s)
    if usual <= 0 or pts_s[-1] - pts_s[0] < 2 * config.rate_s:
        return
    steps = np.diff(pts_s)
    counted = steps <= config.gap * usual
    time, number = (np.concatenate([[0.0], np.cumsum(x)]) for x in (np.where(counted, steps, 0), counted))
    middle = (pts_s[1:] + pts_s[:-1]) / 2
    first = np.clip(np.searchsorted(pts_s, middle - config.rate_s / 2), 0, len(steps) - 1)
    last = np.maximum(np.searchsorted(pts_s, middle + config.rate_s / 2, side="right") - 1, first + 1)
    known = number[last] > number[first]
    rate = np.where(known, (number[last] - number[first]) / np.maximum(time[last] - time[first], 1e-9), 1 / usual)
    odd = np.abs(rate * usual - 1) > config.rate
    for start, stop in runs(odd):
        yield start + 1, stop + 1, float(np.median(rate[start:stop]))
