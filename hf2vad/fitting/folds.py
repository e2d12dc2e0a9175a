"""Parts of the training footage, so that a cube is measured against footage that it is not of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf2vad.training.data import StcFile

MOST = 16
"""Folds of a table of many videos."""
LEAST = 4
"""Videos from which a video is of one fold as a whole; with fewer, each is cut into blocks of time."""
BLOCKS = 8
"""Blocks of time of a video."""


@dataclass(frozen=True)
class Folds:
    """Fold of each training cube: by its video, or, if there are few videos, by its time in the video."""

    first: Mapping[str, int]
    """Number of each video's first fold."""
    ranges: Mapping[str, tuple[int, int]]
    """First frame of each video and the end of its last, where it is cut into blocks; else empty."""

    @classmethod
    def of(cls, files: Sequence[StcFile]) -> Folds:
        """The folds of a table with these files."""
        videos = sorted({file.video for file in files if len(file)})
        if len(videos) >= LEAST:
            most = min(MOST, len(videos))
            return cls({video: rank * most // len(videos) for rank, video in enumerate(videos)}, {})
        ranges = {}
        for video in videos:
            own = [file for file in files if file.video == video]
            ranges[video] = (min(file.start for file in own), max(file.stop for file in own))
        return cls({video: rank * BLOCKS for rank, video in enumerate(videos)}, ranges)

    def __call__(self, video: str, frame: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """(B,) int32: the folds of cubes of a video that end in these (B,) frames."""
        block = np.zeros(len(frame), np.int32)
        if video in self.ranges:
            start, stop = self.ranges[video]
            block = ((frame.astype(np.int64) - start) * BLOCKS // max(1, stop - start)).astype(np.int32)
        return np.asarray(self.first.get(video, 0) + block, np.int32)
