"""Feature `size`: how large a box is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, Need, Statement, Topic
from hf2vad.schema import F32


class Size(ExemplarFeature[ExemplarConfig]):
    """Distance of a box's log height and log width to the nearest exemplar's."""

    name = "size"
    word = "size"
    topic: ClassVar[Topic] = "size"
    says = "has an unusual size"
    needs: ClassVar[frozenset[Need]] = frozenset({"boxes"})
    Settings = ExemplarConfig

    def vectors(self, cubes: CubeArrays) -> F32:
        return log_sizes(cubes.boxes)

    def statement(self, value: float, limit: float | None, cubes: CubeArrays | None) -> Statement:
        if cubes is None:
            return super().statement(value, limit, cubes)
        exemplars = self.known_exemplars
        asked = self.vectors(cubes)[0]
        taller, wider = asked - exemplars[np.square(exemplars - asked).sum(1).argmin()]
        if taller * wider > 0:
            return Statement(self.word, f"is {'larger' if taller > 0 else 'smaller'} than usual")
        return Statement(self.word, f"is {'taller and narrower' if taller > 0 else 'wider and lower'} than usual")


def log_sizes(boxes: F32) -> F32:
    """(B, 2): natural logarithms of height and width of (B, 4) boxes, each at least a pixel."""
    sides = np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    return np.log(np.maximum(sides, 1.0)).astype(np.float32)
