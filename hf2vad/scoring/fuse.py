"""From the errors of cubes to scores of frames (paper §3.3, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from hf2vad.bundle.bundle import Calibration
from hf2vad.errors import ConfigError
from hf2vad.features.settings import FusionConfig
from hf2vad.schema import F32, F64

PARTS = ("flow", "frame", "speed", "motion")
"""What a score is made of; FusionConfig has a weight for each, Calibration a mean and a deviation."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What speaks against some cubes being normal; each (B,) float32, larger is less normal, 0 is no evidence."""

    flow: F32
    """S_r, as `ModelConfig.flow_error` says."""
    frame: F32
    """S_p."""
    speed: F32
    """Flow speed, as `flow_speed` has it."""
    motion: F32
    """How unusual the motion is, as `MotionDensity.score` has it."""

    @classmethod
    def nothing(cls, count: int = 1) -> Parts:
        """Cubes without error, that do not move."""
        none = np.zeros(count, np.float32)
        return cls(flow=none, frame=none, speed=none, motion=none)

    def in_heights(self, heights: F64) -> Parts:
        """S_r and speed in box heights instead of pixels; `heights`: (B,) shares of the mean height."""
        return Parts(
            flow=(self.flow / np.square(heights)).astype(np.float32),
            frame=self.frame,
            speed=(self.speed / heights).astype(np.float32),
            motion=self.motion,
        )


def fuse(parts: Parts, calibration: Calibration, fusion: FusionConfig) -> F64:
    """Eq. 9, (B,) float64: the sum of the terms."""
    score = np.zeros(len(parts.flow), np.float64)
    for term in terms(parts, calibration, fusion).values():
        score += term
    return score


def terms(parts: Parts, calibration: Calibration, fusion: FusionConfig) -> dict[str, F64]:
    """What each part with a weight adds to the score, (B,): weight × deviations from its mean over training cubes."""
    found: dict[str, F64] = {}
    for name in PARTS:
        weight = getattr(fusion, name)
        if weight:
            mean, std = (getattr(calibration, f"{name}_{moment}") for moment in ("mean", "std"))
            found[name] = weight * (getattr(parts, name).astype(np.float64) - mean) / std
    return found


def zero_error_score(calibration: Calibration, fusion: FusionConfig) -> float:
    """The score of a cube without error: what a frame without a cube gets."""
    return float(fuse(Parts.nothing(), calibration, fusion)[0])


def smooth(scores: F64, window: int) -> F64:
    """Median filter over time, the edges repeated; NaN stays NaN and never enters a neighbour's median.

    A NaN inside a video (a frame that could not be decoded) ends one run of scores and begins another; each run is
    filtered on its own. Raises ConfigError for an even window.
    """
    if window < 1 or window % 2 == 0:
        raise ConfigError(f"smoothing must be an odd number of frames, got {window}")
    smoothed = scores.copy()
    for start, stop in runs(~np.isnan(scores)):
        smoothed[start:stop] = median_filter(scores[start:stop], window, mode="nearest")
    return smoothed


def runs(holds: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
