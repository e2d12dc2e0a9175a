"""Feature `place`: where a box of this size is."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, CubeSample, Need, Topic
from hf2vad.features.size import log_sizes
from hf2vad.schema import F32

SPAN = 4
"""The footage is so many units wide: a quarter of its width counts as much as a box 2.7 times as tall."""


class Place(ExemplarFeature[ExemplarConfig]):
    """Distance of a box's foot point and log size to the nearest exemplar's."""

    name = "place"
    word = "place"
    topic: ClassVar[Topic] = "place"
    says = "is where things of its size are not usually"
    needs: ClassVar[frozenset[Need]] = frozenset({"boxes"})
    Settings = ExemplarConfig

    def prepared(self, sample: CubeSample) -> Self:
        boxes = sample.cubes.boxes
        width = float(boxes[:, 2].max() - min(0.0, float(boxes[:, 0].min()))) if len(boxes) else 1.0
        return replace(self, arrays={"width": np.array([max(1.0, width)], np.float32)}, perspective=sample.perspective)

    def vectors(self, cubes: CubeArrays) -> F32:
        boxes = cubes.boxes
        foot = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1) * (SPAN / self.arrays["width"])
        return np.concatenate([foot, log_sizes(boxes)], axis=1).astype(np.float32)
