"""Training footage that the network does not see, so that it can be told how rare its errors are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hf2vad.errors import TrainingError
from hf2vad.storage import open_parquet
from hf2vad.training.data import StcFile, StcTable

EVERY = 4
"""Number of parts of the footage, of which the last is held out."""
BLOCKS = 8
"""Blocks of time that a video is cut into where its camera has fewer than `EVERY` videos."""


def hold_out(table: StcTable, camera_of: Callable[[str], str]) -> tuple[StcTable, StcTable]:
    """Two parts of `table`: what the network learns from, and what it does not see, a quarter of each camera's footage.

    Every fourth video of a camera; of a camera with fewer videos, two of eight blocks of each, with as many cubes. The
    same for the same table. camera_of: the camera of a video's path. Raises TrainingError where a part has no cubes.
    """
    cameras: dict[str, dict[str, list[StcFile]]] = {}
    for file in table.files:
        if len(file):
            cameras.setdefault(camera_of(file.path), {}).setdefault(file.video, []).append(file)
    seen: list[StcFile] = []
    held: list[StcFile] = []
    for _, videos in sorted(cameras.items()):
        for rank, (_, files) in enumerate(sorted(videos.items())):
            blocks = [files] if len(videos) >= EVERY else list(_blocks(files))
            for number, block in enumerate(blocks, start=rank * len(blocks)):
                (held if number % EVERY == EVERY - 1 else seen).extend(block)
    if not seen or not held:
        raise TrainingError(
            f"{table.uri}: too little footage to keep a quarter of it from the network, which a score by surprise "
            "needs; extract more, or train without a network (--preset features)"
        )
    return table.only(seen), table.only(held)


def _blocks(files: Sequence[StcFile]) -> Iterator[list[StcFile]]:
    """The files of a video cut into blocks of as many cubes, between frames."""
    ordered = sorted(files, key=lambda file: file.start)
    frame = np.concatenate([_frames(file) for file in ordered])
    starts = np.cumsum([0, *map(len, ordered)])
    cuts = [int(np.searchsorted(frame, frame[i * len(frame) // BLOCKS])) for i in range(BLOCKS)]
    for first, last in pairwise([*cuts, len(frame)]):
        yield [
            _part(file, frame[start:stop], max(first - start, 0), min(last, stop) - start)
            for file, (start, stop) in zip(ordered, pairwise(starts.tolist()), strict=True)
            if max(first, start) < min(last, stop)
        ]


def _frames(file: StcFile) -> npt.NDArray[np.int32]:
    """(B,): the frames that the cubes of a file end in, increasing."""
    return np.asarray(open_parquet(file.uri).read(columns=["frame"])["frame"].to_numpy(), np.int32)


def _part(file: StcFile, frame: npt.NDArray[np.int32], first: int, last: int) -> StcFile:
    """Rows `first` to `last` of a file whose cubes end in these frames."""
    start = file.start if first == 0 else int(frame[first])
    stop = file.stop if last == len(frame) else int(frame[last])
    return replace(file, start=start, stop=stop, rows=(first, last))
