"""What speaks against an event, where nothing has been gathered: the parts of its peak's score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.bundle.bundle import Bundle
from hf2vad.evidence.objects import weighted_parts
from hf2vad.schema import BOX


def parts_of(event: Mapping[str, Any], objects: pa.Table, bundle: Bundle, path: str) -> dict[str, float]:
    """The parts of the peak's box as they enter the score, in weighted deviations from normal footage.

    Empty for a peak without a box. The smoothed peak frame may hold several boxes: the event's own is taken. `path`: of
    the video in its archive.
    """
    if event["x1"] is None:
        return {}
    rows = objects.filter(pc.equal(objects["frame"], event["peak_frame"])).to_pylist()
    row = next((row for row in rows if all(row[name] == event[name] for name in BOX)), None)
    return {} if row is None else {part: round(value, 3) for part, value in weighted_parts(row, bundle, path).items()}
