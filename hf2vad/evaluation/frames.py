"""The labelled frames of a run: what is compared, one number a frame and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.auroc import Labels, Pairs
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evaluation.settings import Protocol
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.settings import YARDSTICK
from hf2vad.plurals import count_words
from hf2vad.schema import F64, FEATURE_COLUMNS, FRAME_SCORES, LABELS, pack_metadata
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.tables.held import shown_objects
from hf2vad.tables.read import VideoTables, name_in, scored_videos

PARTS = {f"{name}_only": column for name, column in FEATURE_COLUMNS.items() if name != YARDSTICK}
PARTS[f"{YARDSTICK}_yardstick"] = FEATURE_COLUMNS[YARDSTICK]
"""Figures beside the fused score: frame maximum of one feature, by the column of the object table. A frame without an
object gets 0, or the lowest value of all objects where that is below 0. A feature that was not computed (its column is
missing, or has a null) is left out."""

Part = Callable[[pa.Table], F64 | None]
"""A number for each row of an object table; none where the table does not have what it takes."""

I64 = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class VideoFrames:
    """The labelled frames of a video."""

    video: str
    frame: I64
    """Their indices, ascending."""
    anomalous: Labels
    columns: Mapping[str, F64]
    """`score` and `score_raw`, and each part smoothed and `_raw`; all NaN where the frame has no score."""

    @property
    def scored(self) -> Labels:
        """Boolean mask of the frames that count."""
        return ~np.isnan(self.columns["score_raw"])


@dataclass(frozen=True)
class LabelledFrames:
    """The labelled frames of all videos."""

    videos: list[VideoFrames]
    parts: tuple[str, ...]
    """The parts that all videos have."""
    smoothings: tuple[Smoothing, ...]
    """The filters of the videos, each once, the shortest first: several where their frame rates differ."""
    bundle: str
    unlabelled: int
    """Scored videos without labels."""

    def pairs(self, column: str) -> Pairs:
        """Labels and values of the frames that count."""
        return {v.video: (v.anomalous[v.scored], v.columns[column][v.scored]) for v in self.videos}

    def table(self, metadata: Mapping[str, Any]) -> pa.Table:
        """The table `frame_scores` (see schema.py)."""
        floats = [name for part in self.parts for name in (part + "_raw", part)]
        fields = [*FRAME_SCORES, *(pa.field(name, pa.float64()) for name in floats)]
        schema = pa.schema(fields, pack_metadata("frame_scores", {"bundle": self.bundle, **metadata}))
        return pa.Table.from_batches((self._rows(video, schema) for video in self.videos), schema)

    def _rows(self, video: VideoFrames, schema: pa.Schema) -> pa.RecordBatch:
        key = [pa.array([video.video] * len(video.frame), pa.string()), pa.array(video.frame)]
        values = [video.columns[name] for name in schema.names[len(LABELS) :]]
        numbers = [pa.array(column, mask=np.isnan(column)) for column in values]
        return pa.RecordBatch.from_arrays([*key, pa.array(video.anomalous), *numbers], schema=schema)


def column_part(column: str) -> Part:
    """The part that is one column of the object table."""

    def values(objects: pa.Table) -> F64 | None:
        if column not in objects.column_names or objects[column].null_count:
            return None
        return np.asarray(objects[column].to_numpy(), np.float64)

    return values


def feature_part(column: str) -> Part:
    """The part that is one feature; none where it is 0 throughout, as earlier releases wrote one without a fit."""
    part = column_part(column)

    def values(objects: pa.Table) -> F64 | None:
        found = part(objects)
        return None if found is None or (len(found) and not found.any()) else found

    return values


FEATURE_PARTS: Mapping[str, Part] = {part: feature_part(column) for part, column in PARTS.items()}


def collect(
    prefix: str, labels: FrameLabels, protocol: Protocol, parts: Mapping[str, Part] = FEATURE_PARTS
) -> LabelledFrames:
    """The labelled frames of the score tables under `prefix`, smoothed as `protocol` says.

    Raises EvaluationError when a labelled frame has no row, when a labelled video has no table, or when nothing is
    labelled.
    """
    read: list[_Raw] = []
    wanted = dict(labels)
    unlabelled = 0
    bundle = ""
    rules: dict[SmoothingRule, str] = {}
    for found in scored_videos(prefix):
        name = name_in(wanted, found.video)
        if name is None:
            unlabelled += 1
            continue
        bundle = found.metadata["bundle"]
        rules.setdefault(found.smoothing, found.video)
        smoothing = Smoothing.of(protocol, int(found.metadata["smoothing"]), found.smoothing.ends)
        read.append(_read(found, *wanted.pop(name), parts, smoothing))
    if wanted:
        names = ", ".join(repr(name) for name in list(wanted)[:3])
        without = count_words(len(wanted), "labelled video")
        raise EvaluationError(f"no score table under {prefix} for {without}: {names} …; score them first")
    if not read:
        raise EvaluationError(f"{prefix}: none of its videos is labelled")
    smoothings = tuple(sorted({raw.smoothing for raw in read}, key=lambda smoothing: smoothing.window))
    if len(rules) > 1 and len(smoothings) > 1:
        some = ", ".join(f"{rule} ({video!r})" for rule, video in rules.items())
        raise EvaluationError(f"{prefix}: scores smoothed over {some}; give --protocol.window, or score again")
    there = tuple(part for part in parts if all(part in raw.parts for raw in read))
    floors = {part: min(0.0, *(raw.lowest(part) for raw in read)) for part in there}
    return LabelledFrames([_finished(raw, floors) for raw in read], there, smoothings, bundle, unlabelled)


@dataclass(frozen=True)
class _Raw:
    """Raw columns over all frames of a video, -inf where a frame has no object."""

    video: str
    frame: I64
    anomalous: Labels
    positions: I64
    """Rows of the labelled frames."""
    score: F64
    parts: Mapping[str, F64]
    smoothing: Smoothing

    def lowest(self, part: str) -> float:
        values = self.parts[part]
        return float(values.min(where=np.isfinite(values), initial=np.inf))


def _read(found: VideoTables, frame: I64, anomalous: Labels, parts: Mapping[str, Part], smoothing: Smoothing) -> _Raw:
    table = found.table("frames")
    rows = table["frame"].to_numpy()
    there = np.isin(frame, rows)
    if not there.all():
        missing = frame[~there]
        some = ", ".join(map(str, missing[:3]))
        without = count_words(len(missing), "labelled frame")
        raise EvaluationError(f"{found.video!r}: no row for {without} ({some} …); score the whole video")
    score = np.asarray(table["score_raw"].to_numpy(), np.float64)
    objects = shown_objects(found.table("objects"), table, found.metadata)
    maxima = dict(_frame_maxima(np.searchsorted(rows, objects["frame"].to_numpy()), objects, score, parts))
    return _Raw(found.video, frame, anomalous, np.searchsorted(rows, frame), score, maxima, smoothing)


def _frame_maxima(position: I64, objects: pa.Table, score: F64, parts: Mapping[str, Part]) -> Iterator[tuple[str, F64]]:
    for part, values_of in parts.items():
        values = values_of(objects)
        if values is not None:
            best = np.where(np.isnan(score), np.nan, -np.inf)
            np.maximum.at(best, position, values)
            yield part, best


def _finished(raw: _Raw, floors: Mapping[str, float]) -> VideoFrames:
    columns = {"score_raw": raw.score}
    columns |= {
        part + "_raw": np.where(raw.parts[part] == -np.inf, floor, raw.parts[part]) for part, floor in floors.items()
    }
    columns |= {name.removesuffix("_raw"): raw.smoothing(values) for name, values in columns.items()}
    return VideoFrames(
        raw.video, raw.frame, raw.anomalous, {name: values[raw.positions] for name, values in columns.items()}
    )
