"""How the parts of a score are measured and added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Eq. 9: S = flow · (S_r − μ_r)/σ_r + frame · (S_p − μ_p)/σ_p, and two more parts of the same form."""

    flow: float = 1.0
    """Weight of the flow reconstruction error S_r."""

    frame: float = 0.1
    """Weight of the frame prediction error S_p."""

    speed: float = 0.0
    """Weight of the plain flow speed. Not in the paper."""

    motion: float = 0.0
    """Weight of the motion density (`density`). Not in the paper."""

    perspective: bool = False
    """Measure S_r and speed in box heights, as expected at the box's image row, instead of pixels. Not in the paper:
    its failure case is motion far from the camera (§4.4)."""

    def __post_init__(self) -> None:
        weights = (self.flow, self.frame, self.speed, self.motion)
        require(min(weights) >= 0, f"fusion weights must not be negative: {weights}")
        require(sum(weights) > 0, "the fusion weights must not all be 0")


@dataclass(frozen=True, kw_only=True)
class DensityConfig:
    """How likely a cube's motion is among the training cubes: a histogram of its flow over directions."""

    kind: Literal["none", "knn", "gmm"] = "none"
    """`knn`: mean distance to the nearest exemplars. `gmm`: −log density of a Gaussian mixture."""

    height: Literal["none", "box", "perspective"] = "none"
    """Divide by nothing, by the box's own height, or by the height expected at its image row."""

    directions: int = 8
    """Bins of the histogram."""

    neighbours: int = 8
    """`knn`: exemplars that count."""

    exemplars: int = 4096
    """`knn`: training cubes that are kept, at most."""

    components: int = 5
    """`gmm`: Gaussians."""

    def __post_init__(self) -> None:
        for name in ("directions", "neighbours", "exemplars", "components"):
            require(getattr(self, name) > 0, f"density.{name} must be positive, got {getattr(self, name)}")
        require(
            self.neighbours <= self.exemplars,
            f"density.neighbours {self.neighbours} is above density.exemplars {self.exemplars}",
        )
