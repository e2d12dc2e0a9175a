"""Frame scores smoothed over time, in the ways that an evaluation may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from hf2vad.errors import ConfigError
from hf2vad.evaluation.settings import Protocol
from hf2vad.schema import F64
from hf2vad.scoring.settings import Ends
from hf2vad.scoring.smooth import MODES, smooth
from hf2vad.video.times import runs


@dataclass(frozen=True)
class Smoothing:
    """A filter over the frames of one video."""

    kind: str
    """Name of the filter, as `Protocol.smoothing` has it."""
    window: int
    """Frames that it sees, odd; 1 for none."""
    sigma: float | None = None
    """Standard deviation of a gaussian filter, in frames; none: a sixth of the window."""
    ends: Ends = "repeated"
    """Frames that it takes from beyond the ends of a video; a causal median takes the first frame again."""

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise ConfigError(f"smoothing must be an odd number of frames, got {self.window}")

    @classmethod
    def of(cls, protocol: Protocol, scored_with: int, ends: Ends = "repeated") -> Smoothing:
        """The filter that `protocol` asks for; `scored_with`, `ends`: those that the scores were smoothed with."""
        if protocol.smoothing == "none":
            return cls("none", 1, None)
        window = scored_with if protocol.window is None else protocol.window
        if protocol.smoothing != "gaussian":
            return cls(protocol.smoothing, window, None, ends)
        if protocol.sigma is None:
            return cls("gaussian", window, window / 6, ends)
        if protocol.window is None:
            window = 2 * math.ceil(4 * protocol.sigma) + 1
        return cls("gaussian", window, protocol.sigma, ends)

    def __call__(self, raw: F64) -> F64:
        """(frames,) smoothed scores; NaN stays NaN and parts what is before from what is after it."""
        if self.kind == "median":
            return smooth(raw, self.window, self.ends)
        smoothed = raw.copy()
        for start, stop in runs(~np.isnan(raw)):
            smoothed[start:stop] = self._run(raw[start:stop])
        return smoothed

    def _run(self, values: F64) -> F64:
        if self.window == 1:
            return values
        half = self.window // 2
        if self.kind == "gaussian":
            return gaussian_filter1d(  # type: ignore[no-any-return]
                values, self.sigma or self.window / 6, mode=MODES[self.ends], radius=half
            )
        return median_filter(values, self.window, mode="nearest", origin=half)  # type: ignore[no-any-return]
