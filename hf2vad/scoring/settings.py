"""Rules that turn frame scores into events."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.settings import require


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
