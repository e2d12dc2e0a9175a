"""Ground truth in space: which regions of which frames are anomalous, and which track each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from hf2vad.errors import EvaluationError
from hf2vad.schema import BOX, F64, TRACKS, require_columns
from hf2vad.storage import read_table


@dataclass(frozen=True)
class VideoTracks:
    """The anomalous regions of a video, by ascending frame."""

    frame: np.ndarray[tuple[int], np.dtype[np.int64]]
    boxes: F64
    """(regions, 4): x1, y1, x2, y2 in source pixels, the end exclusive."""
    track: np.ndarray[tuple[int], np.dtype[np.int64]]
    """Number of the track within the video."""

    @classmethod
    def none(cls) -> VideoTracks:
        """A video without an anomalous region."""
        return cls(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0, np.int64))


Tracks = dict[str, VideoTracks]
"""The videos that have an anomalous region."""


def read_tracks(uri: str) -> Tracks:
    """The regions in a Parquet file `video, frame, x1, y1, x2, y2, track`; if it has `anomalous`, its true rows only.

    Raises EvaluationError for a row with a null or a value of another type, a box without area, and a track that has
    two boxes in one frame.
    """
    table = _selected(uri)
    video = np.array(table["video"].to_pylist(), object)
    frame, track = table["frame"].to_numpy(), table["track"].to_numpy()
    boxes = np.stack([table[name].to_numpy().astype(np.float64) for name in BOX], axis=1)
    for row in np.flatnonzero(~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)):
        raise EvaluationError(f"{uri}: {video[row]!r}, frame {frame[row]}: a box without area, {boxes[row].tolist()}")
    next_is_new = video[1:] != video[:-1]
    for row in np.flatnonzero(~next_is_new & (frame[1:] == frame[:-1]) & (track[1:] == track[:-1])):
        raise EvaluationError(f"{uri}: {video[row]!r}, frame {frame[row]}: track {track[row]} has two boxes")
    edges = [0, *(np.flatnonzero(next_is_new) + 1), len(video)] if len(video) else []
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    return {video[part.start]: VideoTracks(frame[part], boxes[part], track[part]) for part in parts}


def _selected(uri: str) -> pa.Table:
    """The rows that count, sorted."""
    table = read_table(uri)
    require_columns(table.schema, "tracks", uri)
    marked = "anomalous" in table.column_names
    kept = pa.schema([*TRACKS, pa.field("anomalous", pa.bool_(), False)]) if marked else TRACKS
    try:
        table = table.select(kept.names).cast(kept)
    except (ValueError, NotImplementedError) as error:  # pyarrow's errors of values and of types
        raise EvaluationError(f"{uri}: not a table of tracks: {' '.join(str(error).split())}") from None
    if marked:
        table = table.filter(table["anomalous"])
    return table.sort_by([("video", "ascending"), ("frame", "ascending"), ("track", "ascending")])
