"""Smoothing of frame scores over time."""

from __future__ import annotations

import numpy as np

from hf2vad.errors import ConfigError
from hf2vad.schema import F64
from hf2vad.scoring.settings import Ends
from hf2vad.video.times import runs

MODES: dict[Ends, str] = {"repeated": "nearest", "mirrored": "reflect"}
"""SciPy's names."""


def smooth(scores: F64, window: int, ends: Ends = "repeated") -> F64:
    """Median filter over time; NaN stays NaN and never enters a neighbour's median.

    A NaN inside a video (a frame that could not be decoded) ends one run of scores and begins another; each run is
    filtered on its own. Raises ConfigError for an even window.
    """
    if window < 1 or window % 2 == 0:
        raise ConfigError(f"smoothing must be an odd number of frames, got {window}")
    from scipy.ndimage import median_filter  # a fifth of a second, which no video waits for before it is closed

    smoothed = scores.copy()
    for start, stop in runs(~np.isnan(scores)):
        smoothed[start:stop] = median_filter(scores[start:stop], window, mode=MODES[ends])
    return smoothed
