"""The scored objects of a video, to be drawn over its player: whole objects, each with its score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.errors import NotFoundError
from hf2vad.evidence.objects import Objects
from hf2vad.evidence.whole import whole_boxes
from hf2vad.report.site.tables import Scored
from hf2vad.tables.read import VideoTables
from hf2vad.tables.sizes import size_at, sizes_of

MOST = 6000
"""Boxes of a video, about: of more, frames are left out, outside of events first."""
EVERY_FRAME = (0, 2**31 - 1)


def player_boxes(scored: Scored, tables: VideoTables) -> dict[str, Any] | None:
    """The size that boxes are of, the times of their frames, and each frame's boxes as [x1, y1, x2, y2, score].

    None where there is no table of objects, or nobody says how large the pictures are.
    """
    start = int(scored.metadata.get("start", 0))
    size = size_at(scored.metadata, start)
    if size is None:
        return None
    try:
        objects = Objects.read(tables.uri("objects"), [EVERY_FRAME])
    except NotFoundError:
        return None
    numbers = _chosen(objects.frame, scored)
    first = scored.frames["frame"].to_numpy()
    times = scored.frames["pts_s"].to_numpy()[np.searchsorted(first, numbers)]
    scores = objects.table["score"].to_numpy()
    rows = []
    for number in numbers.tolist():
        here = objects.of(number, number + 1)
        scale = np.array(size) / sizes_of(scored.metadata, np.array([number], np.int32), (size[0], size[1]))[0]
        corners = np.rint(whole_boxes(objects, number) * np.tile(scale, 2)).astype(int)
        highest: dict[tuple[int, ...], float] = {}
        for box, score in zip(map(tuple, corners.tolist()), scores[here].tolist(), strict=True):
            highest[box] = max(score, highest.get(box, -np.inf))
        rows.append([[*box, round(score, 1)] for box, score in highest.items()])
    return {"size": size, "times": [round(float(time), 3) for time in times], "rows": rows}


def _chosen(frames: npt.NDArray[np.int32], scored: Scored) -> npt.NDArray[np.int32]:
    """Numbers of the frames whose boxes are kept, ascending."""
    numbers, counts = np.unique(frames, return_counts=True)
    inside = np.zeros(len(numbers), bool)
    for row in scored.events.select(["start_frame", "end_frame"]).to_pylist():
        inside |= (numbers >= row["start_frame"]) & (numbers <= row["end_frame"])
    kept = []
    for part, most in ((inside, MOST), (~inside, MOST - min(MOST // 2, int(counts[inside].sum())))):
        step = max(1, -(-int(counts[part].sum()) // most))
        kept.append(numbers[part][::step])
    return np.sort(np.concatenate(kept))
