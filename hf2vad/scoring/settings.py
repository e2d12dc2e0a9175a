"""Rules that smooth frame scores and turn them into events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hf2vad.plurals import count_words
from hf2vad.settings import require


class SmoothingRule(NamedTuple):
    """How long the median filter over frame scores is, in footage of any frame rate."""

    frames: int
    """Odd; 1: no filter."""
    fps: float = 0.0
    """Frames a second of the footage that `frames` counts: other footage is smoothed over the same time. 0: it is
    smoothed over `frames`, whatever its rate."""

    def window(self, fps: float) -> int:
        """Frames, odd, of the filter over footage with `fps` frames a second; 0: nobody knows, and it is `frames`."""
        if self.frames == 1 or not self.fps or not fps:
            return self.frames
        return 2 * max(0, round((self.frames * fps / self.fps - 1) / 2)) + 1

    def __str__(self) -> str:
        return count_words(self.frames, "frame") + (f" at {self.fps:g} a second" if self.fps else "")


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """Rules that turn runs of high frame scores into events."""

    threshold: float | None = None
    """Smoothed frame score that an event must reach; none: the bundle's 99.9th percentile of training scores."""

    low: float | None = None
    """Score down to which an event extends (hysteresis); none: the bundle's 99th percentile, at most the threshold."""

    min_length: int = 5
    """Shorter events are dropped, in frames."""

    merge_gap: int = 25
    """Events with at most this many frames between them are one."""

    on_unhealthy: bool = False
    """Let events start and extend on frames whose footage is unhealthy (column `health` of the frames table)."""

    def __post_init__(self) -> None:
        require(self.min_length > 0, f"events.min_length must be positive, got {self.min_length}")
        require(self.merge_gap >= 0, f"events.merge_gap must not be negative, got {self.merge_gap}")
        if self.threshold is not None and self.low is not None:
            require(self.low <= self.threshold, f"events.low {self.low} is above events.threshold {self.threshold}")
