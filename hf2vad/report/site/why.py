"""What speaks against an event: the parts of its peak's score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.models.bundle import Bundle
from hf2vad.schema import BOX, F32
from hf2vad.scoring.fuse import PARTS, Parts

KINDS = {"flow": "flow", "frame": "appearance", "speed": "speed", "motion": "motion"}
"""What an event is called by its largest part."""
COLUMNS = {"flow": "s_flow", "frame": "s_frame", "speed": "speed", "motion": "s_motion"}


def weighted_parts(event: Mapping[str, Any], objects: pa.Table, bundle: Bundle) -> dict[str, float]:
    """The parts of the peak's box as they enter the score: weight × deviations from the mean of training cubes.

    Parts without weight are left out; empty for a peak without a box. The smoothed peak frame may hold several boxes:
    the event's own is taken.
    """
    if event["x1"] is None:
        return {}
    rows = objects.filter(pc.equal(objects["frame"], event["peak_frame"])).to_pylist()
    row = next((row for row in rows if all(row[name] == event[name] for name in BOX)), None)
    if row is None:
        return {}
    parts = Parts(**{part: np.array([row[COLUMNS[part]]], np.float32) for part in PARTS})
    if bundle.fusion.perspective and bundle.perspective is not None:
        box: F32 = np.array([[row[name] for name in BOX]], np.float32)
        parts = parts.in_heights(bundle.perspective.heights(box))
    calibration = bundle.calibration_of(event["video"])
    found = {}
    for part in PARTS:
        weight = getattr(bundle.fusion, part)
        if weight:
            mean, std = (getattr(calibration, f"{part}_{moment}") for moment in ("mean", "std"))
            found[part] = round(weight * (float(getattr(parts, part)[0]) - mean) / std, 3)
    return found


def kind_of(parts: Mapping[str, float]) -> str:
    """The name of the largest part; empty for none."""
    return KINDS[max(parts, key=lambda part: parts[part])] if parts else ""
