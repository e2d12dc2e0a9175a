"""Feature `motion_grid`: what moves which way, and where in the body."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CELLS, CubeArrays, CubeSample, Need, Statement, Topic
from hf2vad.features.pace import Unit, lengths
from hf2vad.schema import F32, SIZE

CLEAR = 0.3
"""Share of a fast exemplar's speed from which a motion has a direction."""
FEW = 20
"""Moving exemplars that are needed to speak of a usual direction."""
RARE = 0.03
"""Share of the moving exemplars up to which a direction is unusual."""


@dataclass(frozen=True, kw_only=True)
class MotionGridConfig(ExemplarConfig):
    """Exemplars of motion, and the unit of its speeds."""

    unit: Unit = "expected_speed"
    """Unit of speed."""


class MotionGrid(ExemplarFeature[MotionGridConfig]):
    """Distance of a cube's median flow, averaged over 4×4 cells, to the nearest exemplar's."""

    name = "motion_grid"
    word = "way of moving"
    topic: ClassVar[Topic] = "motion"
    says = "moves in an unusual way"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
    local: ClassVar[bool] = True
    Settings = MotionGridConfig

    def prepared(self, sample: CubeSample) -> Self:
        arrays = sample.pace.arrays() if self.settings.unit == "expected_speed" else {}
        return replace(self, arrays=arrays, perspective=sample.perspective)

    def vectors(self, cubes: CubeArrays) -> F32:
        side = SIZE // CELLS
        strips = cubes.median_flow.reshape(-1, CELLS, side, SIZE * 2).sum(2)  # rows first: twice as fast
        grid = strips.reshape(-1, CELLS, CELLS, side, 2).sum(3).reshape(-1, CELLS * CELLS * 2) / side**2
        unit = lengths(self.settings.unit, cubes.boxes, self.arrays, self.perspective)
        return np.asarray(grid / np.reshape(unit, (-1, 1)), np.float32)

    def statement(self, value: float, limit: float | None, cubes: CubeArrays | None) -> Statement:
        if cubes is None:
            return super().statement(value, limit, cubes)
        way = heading(_mean_motion(self.vectors(cubes))[0], _mean_motion(self.known_exemplars))
        if way == "against":
            return Statement("direction", "moves against the usual direction")
        if way == "unusual":
            return Statement("direction", "moves in an unusual direction")
        return Statement(self.word, self.says)


def heading(motion: F32, usual: F32) -> Literal["usual", "unusual", "against"]:
    """How the direction of a (2,) motion is among those of (N, 2) usual ones.

    Those that hardly move have no direction. Within 60 degrees is the same direction; `against` is where few go its way
    and most the opposite way.
    """
    length = np.hypot(*usual.T)
    moving = usual[length >= CLEAR * np.quantile(length, 0.9)]
    speed = float(np.hypot(*motion))
    if len(moving) < FEW or speed < CLEAR * float(np.quantile(length, 0.9)):
        return "usual"
    cosine = moving @ motion / (np.hypot(*moving.T) * speed)
    if (cosine > 0.5).mean() > RARE:
        return "usual"
    return "against" if (cosine < -0.5).mean() > 0.5 else "unusual"


def _mean_motion(grids: F32) -> F32:
    """(N, 2): mean motion of (N, 32) grids."""
    return np.asarray(grids.reshape(len(grids), -1, 2).mean(1), np.float32)
