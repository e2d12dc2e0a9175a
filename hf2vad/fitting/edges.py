"""The scale on which boxes that the picture's edge cuts are measured, fitted on training cubes (features/edge.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hf2vad.features.edge import edge_scale, nearer
from hf2vad.features.feature import Feature
from hf2vad.features.settings import YARDSTICK
from hf2vad.fitting.measure import MeasuredFile


def with_edge_scales(
    features: Mapping[str, Feature[Any]], files: Sequence[MeasuredFile], plain: Sequence[MeasuredFile] | None = None
) -> dict[str, Feature[Any]]:
    """The features with their scales for boxes at the picture's edge, as far as there are enough of them. The yardstick
    and features whose values are counted shares have none.

    files, plain: what the features, which have no scales yet, measure in the training footage, as `calibrate` takes it.
    """
    scaled = dict(features)
    for name, feature in features.items():
        if feature.counted or name == YARDSTICK:
            continue
        source = plain if plain and name in plain[0].values else files
        values = np.concatenate([file.values[name] for file in source])
        found = edge_scale(values, np.concatenate([file.at_edge for file in source]))
        scaled[name] = replace(feature, arrays={**feature.arrays, **found})
    return scaled


def rescaled(files: Sequence[MeasuredFile], features: Mapping[str, Feature[Any]]) -> list[MeasuredFile]:
    """`files`, measured by features without scales for the picture's edge, as `features` with them measure."""

    def moved(file: MeasuredFile, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: nearer(features[name].arrays, own, file.at_edge) for name, own in values.items()}

    return [replace(file, values=moved(file, file.values), own=moved(file, file.own)) for file in files]
