"""Why an event without gathered evidence is one: by the values in the table of objects alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.evidence.reasons import Knowledge, Reasons, reasons
from hf2vad.schema import BOX


def peak_reasons(event: Mapping[str, Any], objects: pa.Table, knowledge: Knowledge, path: str) -> Reasons:
    """Why the peak's box is an event; nothing for a peak without a box.

    The smoothed peak frame may hold several boxes: the event's own is taken. `path`: of the video in its archive.
    """
    if event["x1"] is None:
        return Reasons()
    rows = objects.filter(pc.equal(objects["frame"], event["peak_frame"])).to_pylist()
    row = next((row for row in rows if all(row[name] == event[name] for name in BOX)), None)
    return Reasons() if row is None else reasons(rows, row, knowledge, path)
