"""From errors to scores and events."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.config.values import require


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Eq. 9: S = flow · (S_r − μ_r)/σ_r + frame · (S_p − μ_p)/σ_p."""

    flow: float = 1.0
    """Weight of the flow reconstruction error."""

    frame: float = 0.1
    """Weight of the frame prediction error."""

    def __post_init__(self) -> None:
        require(self.flow >= 0 and self.frame >= 0, f"fusion weights must not be negative: {self.flow}, {self.frame}")
        require(self.flow + self.frame > 0, "fusion.flow and fusion.frame must not both be 0")


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """Which runs of high frame scores are events."""

    threshold: float | None = None
    """Smoothed frame score that an event must reach; none: the bundle's 99.9th percentile of training scores."""

    low: float | None = None
    """Score down to which an event extends (hysteresis); none: the bundle's 99th percentile, at most the threshold."""

    min_length: int = 5
    """Shorter events are dropped, in frames."""

    merge_gap: int = 25
    """Events with at most this many frames between them are one."""

    def __post_init__(self) -> None:
        require(self.min_length > 0, f"events.min_length must be positive, got {self.min_length}")
        require(self.merge_gap >= 0, f"events.merge_gap must not be negative, got {self.merge_gap}")
        if self.threshold is not None and self.low is not None:
            require(self.low <= self.threshold, f"events.low {self.low} is above events.threshold {self.threshold}")
