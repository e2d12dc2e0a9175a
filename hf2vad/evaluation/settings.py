"""Evaluation figures from frame scores and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf2vad.settings import require, require_odd


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Rules for comparing scores with labels. Every labelled frame with a score counts. Frames without one (the first
    four of a video, and frames that cannot be decoded) are dropped and counted."""

    smoothing: Literal["median", "gaussian", "causal_median", "none"] = "median"
    """Filter over the raw scores of a video. `causal_median` looks only back, as a live camera must; `none`: raw."""

    window: int | None = None
    """Frames that the filter sees, odd; none: as many as the scores were smoothed with (of a gaussian with a sigma: 4
    sigma to each side)."""

    sigma: float | None = None
    """Deviation of the gaussian, in frames; none: a sixth of the window, which then spans 3 sigma to each side."""

    resamples: int = 1000
    """Draws of videos, with replacement, behind the 95 % intervals; 0: no intervals."""

    seed: int = 0
    """Seeds those draws."""

    def __post_init__(self) -> None:
        if self.window is not None:
            require(self.smoothing != "none", f"protocol.window is {self.window}, but protocol.smoothing is none")
            require_odd("protocol.window", self.window)
        if self.sigma is not None:
            only = f"protocol.sigma is {self.sigma}, but protocol.smoothing is {self.smoothing}; it is for gaussian"
            require(self.smoothing == "gaussian", only)
            require(0 < self.sigma < 1e6, f"protocol.sigma must be above 0 and below 1,000,000, got {self.sigma}")
        require(self.resamples >= 0, f"protocol.resamples must not be negative, got {self.resamples}")
        require(self.seed >= 0, f"protocol.seed must not be negative, got {self.seed}")
