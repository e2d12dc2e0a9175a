"""A camera's perspective: where on the picture a place on flat ground is, and how large things are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hf2vad.demo.drawings import PERSON_M


@dataclass(frozen=True)
class View:
    """A camera that looks along flat ground. An image row stands for a distance: things are smaller higher up."""

    HORIZON: ClassVar[float]
    """Height of the horizon, as a share of the picture's from its top."""
    PERSON_AT_BOTTOM: ClassVar[float]
    """Height of a person whose feet are at the picture's lower edge, as a share of the picture's height."""

    width: int = 320
    """Width of the picture in pixels."""
    height: int = 240
    """Height of the picture in pixels."""

    def pixels_per_metre(self, foot: float) -> float:
        """Scale at the image row `foot`, a share of the picture's height."""
        share = (foot - self.HORIZON) / (1 - self.HORIZON)
        return self.PERSON_AT_BOTTOM * self.height / PERSON_M * share

    def column(self, x: float, foot: float) -> float:
        """Image column of a place `x` metres right of the middle, at the image row `foot`."""
        return self.width / 2 + x * self.pixels_per_metre(foot)

    def half_width_m(self, foot: float) -> float:
        """Metres from the picture's middle to its edge, at the image row `foot`."""
        return self.width / 2 / self.pixels_per_metre(foot)

    def depth(self, foot: float) -> float:
        """Metres from the camera to the image row `foot`, for a lens whose focal length is the picture's width."""
        return self.width / self.pixels_per_metre(foot)

    def row_at(self, depth: float) -> float:
        """The image row that lies `depth` metres from the camera; far below the picture for what is behind it."""
        return self.HORIZON + self.width / max(depth, 0.2) / self.pixels_per_metre(1 + self.HORIZON)
