"""The scale on which boxes that the picture's edge cuts are measured, fitted on training cubes (features/edge.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hf2vad.features.edge import edge_scale, nearer
from hf2vad.features.feature import Feature
from hf2vad.features.settings import YARDSTICK
from hf2vad.fitting.measure import MeasuredFile


def with_edge_scales(
    features: Mapping[str, Feature[Any]], files: list[MeasuredFile], plain: list[MeasuredFile] | None = None
) -> tuple[dict[str, Feature[Any]], list[MeasuredFile], list[MeasuredFile] | None]:
    """The features with their scales for boxes at the picture's edge, as far as there are enough of them, and `files`
    and `plain` as they measure then. The yardstick and features whose values are counted shares have no scale.

    files, plain: what the features, without scales yet, measure in the training footage, as `calibrate` takes it.
    """
    scaled = dict(features)
    for name, feature in features.items():
        if feature.counted or name == YARDSTICK:
            continue
        source = plain if plain and name in plain[0].values else files
        values = np.concatenate([file.values[name] for file in source])
        found = edge_scale(values, np.concatenate([file.at_edge for file in source]))
        scaled[name] = replace(feature, arrays={**feature.arrays, **found})

    def moved(file: MeasuredFile) -> MeasuredFile:
        values, own = (
            {name: nearer(scaled[name].arrays, each, file.at_edge) for name, each in measured.items()}
            for measured in (file.values, file.own)
        )
        return replace(file, values=values, own=own)

    return scaled, [moved(file) for file in files], plain and [moved(file) for file in plain]
