"""The cube that an event is shown by, cut again from its video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.archive.catalog import Video
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import VideoError
from hf2vad.features.feature import CubeArrays
from hf2vad.models.settings import Network
from hf2vad.schema import BOX, F16, F32, FEATURE_COLUMNS, FLOWS, U8
from hf2vad.video.timeline import Timeline

TOLERANCE = 0.05
"""Relative difference of S_r and S_p from the table's up to which a cube counts as the same: engines may differ by 0.03
in bf16. What differs more is not shown."""


@dataclass(frozen=True)
class Cube:
    """One cube."""

    appearance: U8
    """(1, 5, 32, 32, 3) BGR."""
    flow: F16
    """(1, 4, 32, 32, 2)."""
    at_edge: npt.NDArray[np.bool_] | None = None
    """(1,): whether the picture's edge cuts its box."""

    def arrays(self, row: Mapping[str, Any]) -> CubeArrays:
        """As features read it; row: its row of `objects`."""
        return CubeArrays(
            boxes=np.array([[row[name] for name in BOX]], np.float32),
            flow=self.flow,
            appearance=self.appearance,
            classes=None if row["class"] is None else np.array([row["class"]], np.int32),
            class_scores=None if row["class_score"] is None else np.array([row["class_score"]], np.float32),
            at_edge=self.at_edge,
        )

    @property
    def plain(self) -> Explanation:
        """The cube as it is shown where no network counts."""
        return Explanation(self.appearance[0, -1], None, self.flow[0, -1].astype(np.float32), None, FLOWS - 1, {})


@dataclass(frozen=True)
class Explanation:
    """A cube, and the networks' reconstruction and prediction of it."""

    crop: U8
    """(32, 32, 3): the last crop."""
    predicted: F32 | None
    """(32, 32, 3): its prediction, in grey levels 0 … 255; None where the frame network does not count."""
    flow: F32
    """(32, 32, 2): the one of the four flows that S_r goes by, or the last where the flow network does not count."""
    reconstructed: F32 | None
    """(32, 32, 2); None where the flow network does not count."""
    number: int
    """Index of that flow among the four, from 0."""
    errors: Mapping[Network, F32]
    """S_r and S_p, (1,) each, of the networks that ran, as features read them."""


def cut_again(extractor: Extractor, video: Video, timeline: Timeline, row: Mapping[str, Any]) -> Cube:
    """The cube of a `row` of `objects`, by the extraction it was made with.

    Raises VideoError when it does not come out again.
    """
    frame = int(row["frame"])
    box = np.array([row[name] for name in BOX], np.float32)
    for shard in extractor.shards(video, timeline, 1, start=frame, stop=frame + 1):
        for batch in extractor.cubes(shard):
            same = np.flatnonzero(np.abs(batch.boxes - box).max(axis=1, initial=0) < 0.01)
            if len(same):
                place = slice(int(same[0]), int(same[0]) + 1)
                edge = None if batch.at_edge is None else batch.at_edge[place]
                return Cube(batch.appearance[place], batch.flow[place], edge)
    raise VideoError(f"{video.id}: frame {frame} has no such box as it was scored; is it another detector, or video?")


def check_same(row: Mapping[str, Any], values: Mapping[Network, float]) -> None:
    """Raise VideoError where the values of the networks' features are not those of the `row` of `objects`; a null there
    is not compared."""
    for network, now in values.items():
        column = FEATURE_COLUMNS[network]
        if row[column] is not None and abs(now - row[column]) > TOLERANCE * max(abs(row[column]), 1e-3):
            raise VideoError(
                f"{row['video']}: frame {row['frame']} has {column} {now:.4g} now and {row[column]:.4g} in the table, "
                "so its maps are not shown; score it again"
            )
