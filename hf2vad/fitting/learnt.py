"""Footage that a bundle was learnt from: its length, and the camera of each example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.probe import evenly_spaced
from hf2vad.storage import open_parquet
from hf2vad.training.data import StcFile, StcTable

SAMPLED = 200
"""Files whose times are read, at most; the others are taken to have the median frame rate of these."""


def learnt_seconds(table: StcTable) -> float:
    """Length of the footage whose cubes are in `table`, in seconds; 0 where no file has cubes of two frames."""
    sampled = table.files[:: -(-len(table.files) // SAMPLED)]
    steps = {file.uri: step for file in sampled if (step := _frame_seconds(file)) is not None}
    usual = float(np.median(list(steps.values()))) if steps else 0.0
    return float(sum((file.stop - file.start) * steps.get(file.uri, usual) for file in table.files))


def example_cameras(table: StcTable, count: int, cameras: Cameras) -> Sequence[str]:
    """The camera of each of the `count` normal examples of `table`, in their order."""
    paths = {file.uri: file.path for file in table.files}
    starts = [group.first + group.start for group in table.groups]
    places = np.searchsorted(starts, evenly_spaced(table, count), side="right") - 1
    return [cameras.of_path(paths[table.groups[place].uri]) for place in places]


def _frame_seconds(file: StcFile) -> float | None:
    """Seconds between frames of a file, by its first and last cube; None where they are of one frame."""
    times = open_parquet(file.uri).read(columns=["frame", "pts_s"])
    if not len(times):
        return None
    frame, pts_s = times["frame"].to_numpy(), times["pts_s"].to_numpy()
    frames = int(frame[-1]) - int(frame[0])
    return float(pts_s[-1] - pts_s[0]) / frames if frames > 0 else None
