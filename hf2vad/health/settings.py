"""Thresholds of unhealthy footage."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """Thresholds of unhealthy footage. Pictures are judged by thumbnails of 64×48 cells in 256 grey levels."""

    frozen_s: float = 5.0
    """Least time that the same picture lasts to count as frozen, in seconds. A stream that buffers stalls for less."""

    frozen_levels: float = 8.0
    """Change of a cell, from frame to frame or since the stretch began, up to which the picture is the same. Coding
    one picture again and again changes cells by 4 levels; a person who walks far away, by more than 10."""

    frozen_pixels: float = 0.01
    """Share of pixels up to which a frame repeats the one before. It holds for half the frames of a frozen stretch: an
    encoder has nothing to send. A live picture of an empty place has the sensor's noise in it."""

    contrast: float = 10.0
    """A picture has none when 90 % of its cells lie within so many grey levels: covered, sprayed, overexposed, dark."""

    black: float = 32.0
    """Mean grey level up to which a picture without contrast is black; above it, it is blinded."""

    moved: float = 0.03
    """The camera has moved when the background has, by this share of the picture's width or height. On 64 cells shifts
    are known to a fifth of a cell, but a large object that stays may pass for a shift of one."""

    gap: float = 2.5
    """A step in time this many times the video's median step is a gap: at least two frames are missing. One missing
    frame is an ordinary day of a network camera."""

    rate: float = 0.25
    """Relative difference of the local frame rate from the video's own: flow is measured per frame, so speeds are then
    wrong by as much."""

    rate_s: float = 5.0
    """Seconds over which the local frame rate is averaged."""

    def __post_init__(self) -> None:
        require(self.frozen_s > 0, f"health.frozen_s must be positive, got {self.frozen_s}")
        for name in ("frozen_levels", "contrast", "black"):
            value = getattr(self, name)
            require(0 <= value <= 255, f"health.{name} must lie between 0 and 255, got {value}")
        require(0 <= self.frozen_pixels < 1, f"health.frozen_pixels must be in [0, 1), got {self.frozen_pixels}")
        require(0.02 <= self.moved < 0.5, f"health.moved must be in [0.02, 0.5), got {self.moved}")
        require(self.gap > 1, f"health.gap must be above 1, got {self.gap}")
        require(0 < self.rate < 1, f"health.rate must be in (0, 1), got {self.rate}")
        require(self.rate_s > 0, f"health.rate_s must be positive, got {self.rate_s}")
