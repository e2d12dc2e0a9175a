"""Feature `motion_grid`: what moves which way, and where in the body."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, CubeSample, Need
from hf2vad.features.pace import Unit, lengths
from hf2vad.schema import F32, SIZE

CELLS = 4
"""Cells a side."""


@dataclass(frozen=True, kw_only=True)
class MotionGridConfig(ExemplarConfig):
    """Exemplars of motion, and the unit of its speeds."""

    unit: Unit = "expected_speed"
    """Unit of speed."""


class MotionGrid(ExemplarFeature[MotionGridConfig]):
    """Distance of a cube's median flow, averaged over 4×4 cells, to the nearest exemplar's."""

    name = "motion_grid"
    word = "motion of the parts"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
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
