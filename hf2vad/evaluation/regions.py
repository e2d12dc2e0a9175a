"""RBDC and TBDC: are the right places found, and the right tracks (Ramachandra and Jones 2020)?

Detections, the scored boxes, are taken by falling score over all frames. Each takes the true regions of its frame that
it overlaps with an IoU of at least 0.1. One that takes none is a false positive; else every region not yet found is
found. A track is found when at least 10 % of its regions are. RBDC is the area under the share of regions found, TBDC
that under the share of tracks found, both against false positives per frame, from 0 to 1 per frame: a perfect detector
has 1.0 in both.

The curve: detections of equal score enter together, and a straight line joins the points before and after them (what
entering in random order gives on average). Where the last detection comes before 1 false positive per frame, the curve
goes on level. All frames count, those without a score too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.frames import FEATURE_PARTS, Part, column_part
from hf2vad.evaluation.tracks import Tracks, VideoTracks
from hf2vad.plurals import count_words
from hf2vad.schema import BOX, F64
from hf2vad.tables.held import shown_objects
from hf2vad.tables.read import VideoTables, name_in, scored_videos

OVERLAP_PARTS = 10
"""A detection takes a region when this many times their intersection is at least their union: an IoU of 0.1."""
TRACK_PARTS = 10
"""A track is found when at least one in so many of its regions is."""


def overlapping(boxes: F64, others: F64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,): whether box i of (N, 4) has an IoU of at least 0.1 with other i.

    Ends are exclusive, so that whole-numbered boxes are compared by the pixels they hold, as the definition does with
    inclusive corners.
    """
    size = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.where((size > 0).all(axis=1), size[:, 0] * size[:, 1], 0.0)
    union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return np.asarray((shared > 0) & (OVERLAP_PARTS * shared >= union))


def detection_area(found: F64, false: F64, frames: int) -> float | None:
    """Area under the share found against false positives per frame, up to 1 per frame (see above).

    found: the score at which each region, or track, is found; -inf for never. false: scores of the false positives.
    None where there is nothing to find.
    """
    if not len(found):
        return None
    scores = np.unique(np.concatenate([found[found > -np.inf], false]))[::-1]
    rate = np.r_[0.0, _at_or_above(found, scores) / len(found)]
    per_frame = np.r_[0.0, _at_or_above(false, scores) / frames]
    end = int(np.searchsorted(per_frame, 1.0))
    last = float(np.interp(1.0, per_frame[end - 1 : end + 1], rate[end - 1 : end + 1]))
    from sklearn.metrics import auc  # seconds and megabytes that only evaluation pays

    return float(auc(np.r_[per_frame[:end], 1.0], np.r_[rate[:end], last]))


def _at_or_above(values: F64, scores: F64) -> F64:
    ascending = np.sort(values)
    return np.asarray(len(values) - np.searchsorted(ascending, scores, "left"), np.float64)


def track_scores(found: F64, track: np.ndarray[tuple[int], np.dtype[np.int64]]) -> F64:
    """(tracks,): the score at which a tenth of a track's regions is found, from the scores at which each region is."""
    order = np.lexsort((-found, track))
    _, first, length = np.unique(track[order], return_index=True, return_counts=True)
    return np.asarray(found[order][first + -(-length // TRACK_PARTS) - 1])


@dataclass
class _Found:
    """Detections by one column of scores, video by video."""

    regions: list[F64] = field(default_factory=list)
    false: list[F64] = field(default_factory=list)


def region_figures(prefix: str, videos: Collection[str], tracks: Tracks) -> dict[str, Any]:
    """RBDC and TBDC of the object tables of `videos` under `prefix`, for the fused score and for each part.

    A region on a frame without a score can never be found; it counts, and `regions_unscored` says how many there are.
    Raises EvaluationError when a video of `tracks` is not one of `videos`, or a region lies on a frame without a row.
    """
    parts: Mapping[str, Part] = {"score": column_part("score"), **FEATURE_PARTS}
    columns = {part: _Found() for part in parts}
    track: list[np.ndarray[Any, np.dtype[np.int64]]] = [np.empty(0, np.int64)]
    frames = detections = unscored = seen = 0
    wanted = dict(tracks)
    for tables in scored_videos(prefix):
        if tables.video not in videos:
            continue
        truth = wanted.pop(name_in(wanted, tables.video) or "", VideoTracks.none())
        table = tables.table("frames")
        objects = shown_objects(tables.table("objects"), table, tables.metadata)
        frames, detections = frames + len(table), detections + len(objects)
        unscored += _unscored(tables, table, truth)
        names, numbers = np.unique(truth.track, return_inverse=True)
        track.append(numbers + seen)
        seen += len(names)
        boxes = np.stack([objects[name].to_numpy().astype(np.float64) for name in BOX], axis=1)
        detection, region = regions_taken(objects["frame"].to_numpy(), boxes, truth)
        for part, values_of in parts.items():
            scores = values_of(objects)
            if scores is None:
                columns.pop(part, None)
            elif part in columns:
                best = np.full(len(truth.frame), -np.inf)
                np.maximum.at(best, region, scores[detection])
                columns[part].regions.append(best)
                columns[part].false.append(np.delete(scores, detection))
    if wanted:
        names_left = ", ".join(repr(name) for name in list(wanted)[:3])
        raise EvaluationError(
            f"not scored and labelled: {count_words(len(wanted), 'video')} with tracks: {names_left} …"
        )
    belongs = np.concatenate(track)
    figures = {part: _areas(column, belongs, frames) for part, column in columns.items()}
    return {
        **figures.pop("score"),
        **figures,
        "regions": len(belongs),
        "regions_unscored": unscored,
        "tracks": seen,
        "detections": detections,
        "frames": frames,
    }


def _areas(column: _Found, track: np.ndarray[tuple[int], np.dtype[np.int64]], frames: int) -> dict[str, float | None]:
    regions, false = np.concatenate(column.regions), np.concatenate(column.false)
    return {
        "rbdc": detection_area(regions, false, frames),
        "tbdc": detection_area(track_scores(regions, track), false, frames),
    }


def _unscored(tables: VideoTables, table: pa.Table, truth: VideoTracks) -> int:
    """Regions on frames without a score."""
    rows = table["frame"].to_numpy()
    there = np.isin(truth.frame, rows)
    if not there.all():
        missing = truth.frame[~there][0]
        raise EvaluationError(
            f"{tables.video!r}: a track is at frame {missing}, which has no row; score the whole video"
        )
    scored = rows[~np.isnan(np.asarray(table["score_raw"].to_numpy(), np.float64))]
    return int((~np.isin(truth.frame, scored)).sum())


def regions_taken(
    frame: npt.NDArray[np.integer[Any]], boxes: F64, truth: VideoTracks
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of a detection and a region of `truth` that it takes, as two arrays of their numbers.

    frame: (N,) of each detection; boxes: (N, 4).
    """
    first = np.searchsorted(truth.frame, frame, "left")
    count = np.searchsorted(truth.frame, frame, "right") - first
    detection = np.repeat(np.arange(len(frame)), count)
    region = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    takes = overlapping(boxes[detection], truth.boxes[region])
    return detection[takes], region[takes]
