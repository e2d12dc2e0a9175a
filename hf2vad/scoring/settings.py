"""Rules that smooth frame scores and turn them into events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from hf2vad.plurals import count_words
from hf2vad.settings import require

Ends = Literal["repeated", "mirrored"]
"""Frames that a filter takes from before the first and behind the last one: that frame again and again, which is then
most of its window, so that it smooths hardly anything there; or the frames on the other side of it, in a mirror."""


class SmoothingRule(NamedTuple):
    """How long the median filter over frame scores is, and what lengths of events count, in footage of any rate."""

    frames: int
    """Odd; 1: no filter."""
    fps: float = 0.0
    """Frames a second of the footage that lengths count: other footage is smoothed over the same time, and its events
    last as long. 0: lengths are in frames, whatever their rate."""
    ends: Ends = "repeated"
    """Frames that the filter takes from beyond the ends of a video."""

    @property
    def key(self) -> tuple[int | float | str, ...]:
        """Numbers and names that decide smoothed scores; without `ends` where they are as in an earlier release."""
        mirrored = (self.ends,) if self.ends != "repeated" else ()
        return (self.frames, *((self.fps,) if self.fps else ()), *mirrored)

    def window(self, fps: float) -> int:
        """Frames, odd, of the filter over footage with `fps` frames a second; 0: nobody knows, and it is `frames`."""
        if self.frames == 1 or not self.fps or not fps:
            return self.frames
        return 2 * max(0, round((self.frames * fps / self.fps - 1) / 2)) + 1

    def lasting(self, frames: int, fps: float) -> int:
        """Frames of footage with `fps` a second that last as long as `frames` do; 0: nobody knows, and it is these."""
        return round(frames * fps / self.fps) if self.fps and fps else frames

    def __str__(self) -> str:
        rate = f" at {self.fps:g} a second" if self.fps else ""
        return count_words(self.frames, "frame") + rate + (f", ends {self.ends}" if self.ends != "repeated" else "")


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """Rules that turn runs of high frame scores into events."""

    threshold: float | None = None
    """Smoothed frame score that an event must reach; none: the bundle's 99.9th percentile of training scores."""

    low: float | None = None
    """Score down to which an event extends (hysteresis); none: the bundle's 99th percentile, at most the threshold."""

    min_length: int = 5
    """Shorter events are dropped, in frames; by a bundle that smooths over a time, in frames of the footage that its
    `smoothing_fps` names: 5 frames at 10 a second are 12 at 25."""

    merge_gap: int = 25
    """Events with at most this many frames between them are one, counted as for `min_length`."""

    on_unhealthy: bool = False
    """Let events start and extend on frames whose footage is unhealthy (column `health` of the frames table)."""

    def __post_init__(self) -> None:
        require(self.min_length > 0, f"events.min_length must be positive, got {self.min_length}")
        require(self.merge_gap >= 0, f"events.merge_gap must not be negative, got {self.merge_gap}")
        if self.threshold is not None and self.low is not None:
            require(self.low <= self.threshold, f"events.low {self.low} is above events.threshold {self.threshold}")

    def at_rate(self, rule: SmoothingRule, fps: float) -> EventConfig:
        """These rules with lengths in frames of footage with `fps` a second (0: nobody knows), as `rule` counts them.

        No event is shorter than a frame.
        """
        length, gap = (rule.lasting(frames, fps) for frames in (self.min_length, self.merge_gap))
        return replace(self, min_length=max(1, length), merge_gap=gap)
