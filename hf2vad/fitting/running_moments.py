"""Mean and variance of values that come in chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hf2vad.schema import F32


@dataclass
class RunningMoments:
    """Mean and variance of a stream, merged chunk by chunk (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: F32) -> None:
        """Merge a chunk of values."""
        if len(values):
            chunk = values.astype(np.float64)
            mean = float(chunk.mean())
            self.merge(RunningMoments(len(chunk), mean, float(np.square(chunk - mean).sum())))

    def merge(self, other: RunningMoments) -> None:
        """Merge another stream's moments."""
        if not other.count:
            return
        total = self.count + other.count
        self.squares += other.squares + (other.mean - self.mean) ** 2 * self.count * other.count / total
        self.mean += (other.mean - self.mean) * other.count / total
        self.count = total

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count)
