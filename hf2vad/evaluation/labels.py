"""Ground truth: which frames are anomalous."""

from __future__ import annotations

import numpy as np

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.auroc import Labels
from hf2vad.schema import LABELS, require_columns
from hf2vad.storage import list_files, read_bytes, read_table

FrameLabels = dict[str, tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Labels]]
"""Labelled frame numbers in ascending order and whether each is anomalous, by video."""


def read_labels(uri: str) -> FrameLabels:
    """Labels from a Parquet file (`video, frame, anomalous`), or from a folder of text files.

    A text file is called `<video>.txt`, with or without the video's own ending, and holds one 0 or 1 a frame.
    Raises EvaluationError for a frame that is labelled twice, for a row with a null or a value of another type, and for
    anything else in a text file.
    """
    return _from_table(uri) if uri.endswith(".parquet") else _from_folder(uri)


def _from_table(uri: str) -> FrameLabels:
    table = read_table(uri)
    require_columns(table.schema, "labels", uri)
    try:
        table = table.select(LABELS.names).cast(LABELS)
    except (ValueError, NotImplementedError) as error:  # pyarrow's errors of values and of types
        raise EvaluationError(f"{uri}: not a table of labels: {' '.join(str(error).split())}") from None
    videos = np.array(table["video"].to_pylist(), object)
    frames = table["frame"].to_numpy()
    anomalous = np.array(table["anomalous"].to_pylist(), bool)
    by_video: FrameLabels = {}
    for video in sorted(set(videos)):
        rows = np.flatnonzero(videos == video)
        rows = rows[np.argsort(frames[rows], kind="stable")]
        if (np.diff(frames[rows]) == 0).any():
            raise EvaluationError(f"{uri}: {video!r} has a frame that is labelled twice")
        by_video[video] = (frames[rows], anomalous[rows])
    return by_video


def _from_folder(uri: str) -> FrameLabels:
    by_video: FrameLabels = {}
    for entry in list_files(uri, ".txt"):
        marks = read_bytes(entry.uri).decode(errors="replace").split()
        digits = "".join(marks)
        if not digits or set(digits) - {"0", "1"}:
            raise EvaluationError(f"{entry.uri}: a label file holds one 0 or 1 a frame, and nothing else")
        labels = np.array([digit == "1" for digit in digits])
        by_video[entry.name.removesuffix(".txt")] = (np.arange(len(labels)), labels)
    if not by_video:
        raise EvaluationError(f"{uri}: no label file (<video>.txt) there")
    return by_video
