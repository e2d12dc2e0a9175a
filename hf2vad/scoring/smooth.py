"""Smoothing of frame scores over time."""

from __future__ import annotations

import numpy as np

from hf2vad.errors import ConfigError
from hf2vad.schema import F64
from hf2vad.video.times import runs


def window_at(smoothing: int, smoothing_fps: float, fps: float) -> int:
    """Frames, odd, of the median filter over footage with `fps` frames a second: as long in time as `smoothing` frames
    are at `smoothing_fps` a second.

    It is `smoothing` where that is 1, no filter at all, where `smoothing_fps` is 0, and where `fps` is 0 because nobody
    knows the rate.
    """
    if smoothing == 1 or not smoothing_fps or not fps:
        return smoothing
    return 2 * max(0, round((smoothing * fps / smoothing_fps - 1) / 2)) + 1


def smooth(scores: F64, window: int) -> F64:
    """Median filter over time, the edges repeated; NaN stays NaN and never enters a neighbour's median.

    A NaN inside a video (a frame that could not be decoded) ends one run of scores and begins another; each run is
    filtered on its own. Raises ConfigError for an even window.
    """
    if window < 1 or window % 2 == 0:
        raise ConfigError(f"smoothing must be an odd number of frames, got {window}")
    from scipy.ndimage import median_filter  # a fifth of a second, which no video waits for before it is closed

    smoothed = scores.copy()
    for start, stop in runs(~np.isnan(scores)):
        smoothed[start:stop] = median_filter(scores[start:stop], window, mode="nearest")
    return smoothed
