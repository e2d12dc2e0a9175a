"""Training cubes that travel in the bundle, to compare engines on and to show beside events, and their footage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.kept import NO_EXAMPLES, NO_PROBE, NormalExamples, ProbeCubes
from hf2vad.fitting.cameras import Cameras
from hf2vad.schema import F16, U8
from hf2vad.storage import open_parquet
from hf2vad.training.data import StcFile, StcTable, read_piece

SAMPLED = 200
"""Files whose times are read, at most; the others are taken to have the median frame rate of these."""


def probe_cubes(table: StcTable, count: int) -> ProbeCubes:
    """At most `count` cubes of `table`, evenly spaced."""
    parts = list(_evenly(table, count))
    if not parts:
        return NO_PROBE
    return ProbeCubes(np.concatenate([pixels for pixels, _ in parts]), np.concatenate([flow for _, flow in parts]))


def normal_examples(table: StcTable, count: int) -> NormalExamples:
    """The last crop and median flow of at most `count` cubes of `table`, evenly spaced."""
    parts = [NormalExamples.of(pixels, flow) for pixels, flow in _evenly(table, count)]
    if not parts:
        return NO_EXAMPLES
    pictures = np.concatenate([part.appearance for part in parts])
    return NormalExamples(pictures, np.concatenate([part.flow for part in parts]))


def evenly_spaced(table: StcTable, count: int) -> npt.NDArray[np.int64]:
    """Numbers of at most `count` cubes of `table`, ascending."""
    return np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).astype(np.int64))


def _evenly(table: StcTable, count: int) -> Iterator[tuple[U8, F16]]:
    """Pixels and flow of `count` cubes, row group by row group; a row group without any is not read."""
    numbers = evenly_spaced(table, count)
    places = np.searchsorted([group.first + group.start for group in table.groups], numbers, side="right") - 1
    for place in np.unique(places).tolist():
        group = table.groups[place]
        rows = numbers[places == place] - group.first
        start = int(rows[0])
        cubes = read_piece(replace(group, start=start, stop=int(rows[-1]) + 1), appearance=True)
        assert cubes.appearance is not None
        yield cubes.appearance[rows - start], cubes.flow[rows - start]


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
