"""Feature `shape`: the outline of what is in the box, as a histogram of oriented gradients (Dalal and Triggs 2005)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, Need, Topic
from hf2vad.schema import F32, SIZE

CELLS = 4
"""Cells a side."""
DIRECTIONS = 9
"""Bins of the gradient's direction, over half a turn."""
FAINT = 20.0
"""Added to the norm that a histogram is divided by, in grey levels: pictures without contrast have no shape."""


class Shape(ExemplarFeature[ExemplarConfig]):
    """Distance of the last crop's gradients to the nearest exemplar's."""

    name = "shape"
    word = "shape"
    topic: ClassVar[Topic] = "looks"
    says = "has an unusual outline"
    needs: ClassVar[frozenset[Need]] = frozenset({"pixels"})
    local: ClassVar[bool] = True
    Settings = ExemplarConfig

    def vectors(self, cubes: CubeArrays) -> F32:
        return gradient_histograms(cubes.grey)


def gradient_histograms(grey: F32) -> F32:
    """(B, 144) for (B, 32, 32) grey pictures: mean gradient in 4×4 cells and 9 directions, of a norm below 1."""
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = (grey[:, :, 2:] - grey[:, :, :-2]) / 2
    down[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    turn = np.arctan2(down, across) / math.pi
    direction = np.minimum(((turn + (turn < 0)) * DIRECTIONS).astype(np.int64), DIRECTIONS - 1)
    side = SIZE // CELLS
    cell = np.arange(SIZE) // side
    place = cell[:, None] * CELLS + cell
    bins = (np.arange(len(grey))[:, None, None] * CELLS**2 + place) * DIRECTIONS + direction
    total = len(grey) * CELLS**2 * DIRECTIONS
    summed = np.bincount(bins.ravel(), np.sqrt(across**2 + down**2).ravel(), minlength=total)
    histograms = summed.reshape(len(grey), CELLS**2 * DIRECTIONS) / side**2
    return np.asarray(histograms / (np.linalg.norm(histograms, axis=1, keepdims=True) + FAINT), np.float32)
