"""From the errors of cubes to frame AUROC, in the forms that the ablation compares.

Errors come part by part, a number a cube; what is normal is learned from training cubes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hf2vad.errors import EvaluationError
from hf2vad.evaluation.auroc import Labels, micro_auroc
from hf2vad.evaluation.bootstrap import draw_videos, interval, resampled_micro
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.settings import FusionConfig
from hf2vad.schema import F32, F64, FRAMES
from hf2vad.settings import to_dict
from hf2vad.tables.read import stem

FusionForm = Literal["weights", "zscores", "ranks"]
"""`weights`: Eq. 9. `zscores`: the same with equal weights. `ranks`: each error replaced by the share of training cubes
whose error is smaller, and the shares added."""

VideoLabels = Mapping[str, tuple[npt.NDArray[np.int64], Labels]]
"""For each video, labelled frames and whether they are anomalous."""

NETWORK: tuple[Literal["flow", "frame"], ...] = ("flow", "frame")
"""The parts that the network has; `zscores` and `ranks` weigh them alike."""


@dataclass(frozen=True)
class Errors:
    """One part's errors."""

    test: F32
    """(B,): of the test cubes."""
    train: F32
    """(N,): of training cubes."""


@dataclass(frozen=True)
class Cubes:
    """Which test cubes there are."""

    video: npt.NDArray[np.object_]
    """(B,): ids of videos."""
    frame: npt.NDArray[np.int32]
    """(B,)."""
    frames: Mapping[str, int]
    """Frames of each video."""


def fused(errors: Mapping[str, Errors], form: FusionForm, fusion: FusionConfig) -> tuple[F64, float]:
    """(B,) fused scores of the test cubes, and the score of a cube without error.

    `weights` takes every part of `errors` that `fusion` has a weight for. Raises EvaluationError when the training
    cubes' errors of a part are all equal.
    """
    weights = {part: float(w) for part, w in to_dict(fusion).items() if part in errors and w}
    if form != "weights":
        weights = dict.fromkeys(NETWORK, 1.0)
    scale = _ranks if form == "ranks" else _deviations
    total, nothing = np.zeros(len(next(iter(errors.values())).test)), 0.0
    for part, weight in weights.items():
        found = errors[part]
        total += weight * scale(found.test, found.train)
        nothing += weight * float(scale(np.zeros(1, np.float32), found.train)[0])
    return total, nothing


def _deviations(values: F32, train: F32) -> F64:
    normal = train.astype(np.float64)
    if not normal.std() > 0:
        raise EvaluationError(f"the errors of all {len(train)} training cubes are equal; nothing can be normal")
    return np.asarray((values.astype(np.float64) - normal.mean()) / normal.std(), np.float64)


def _ranks(values: F32, train: F32) -> F64:
    return np.asarray(np.searchsorted(np.sort(train), values, side="left") / len(train), np.float64)


def frame_scores(scores: F64, nothing: float, cubes: Cubes) -> dict[str, F64]:
    """For each video its frames' highest scores: `nothing` without a cube, NaN without full context."""
    found = {}
    for video, frames in cubes.frames.items():
        raw = np.full(frames, -np.inf)
        mine = cubes.video == video
        np.maximum.at(raw, cubes.frame[mine], scores[mine])
        raw[np.isneginf(raw)] = nothing
        raw[: FRAMES - 1] = np.nan
        found[video] = raw
    return found


def labelled(labels: FrameLabels, frames: Mapping[str, int]) -> dict[str, tuple[npt.NDArray[np.int64], Labels]]:
    """The labels under the ids of the archive's videos.

    Raises EvaluationError for a label without a frame, and when no video is labelled.
    """
    found, missing = {}, dict(labels)
    for video, count in frames.items():
        name = video if video in missing else stem(video)
        if name not in missing:
            continue
        frame, truth = missing.pop(name)
        if len(frame) and (frame[0] < 0 or frame[-1] >= count):
            raise EvaluationError(f"{video!r} has {count} frames, its labels are of frames {frame[0]} to {frame[-1]}")
        found[video] = (frame, truth)
    if missing:
        raise EvaluationError(f"{len(missing)} labelled videos are not in the test archive: {next(iter(missing))!r} …")
    if not found:
        raise EvaluationError("none of the test archive's videos is labelled")
    return found


def aurocs(raw: Mapping[str, F64], labels: VideoLabels, smoothings: Sequence[Smoothing]) -> list[float | None]:
    """Micro AUROC of raw frame scores under each of `smoothings`, over the labelled frames that have a score."""
    return [micro_auroc(_compared(raw, labels, smoothing)) for smoothing in smoothings]


def auroc_interval(
    raw: Mapping[str, F64], labels: VideoLabels, smoothing: Smoothing, *, resamples: int = 1000
) -> tuple[float | None, float | None]:
    """The 95 % interval of the micro AUROC over draws of videos, as an evaluation has it."""
    videos = _compared(raw, labels, smoothing)
    if len(videos) < 2:
        return None, None
    bounds, _ = interval(resampled_micro(videos, draw_videos(len(videos), resamples, 0)))
    return (None, None) if bounds is None else (bounds[0], bounds[1])


def _compared(raw: Mapping[str, F64], labels: VideoLabels, smoothing: Smoothing) -> dict[str, tuple[Labels, F64]]:
    videos = {}
    for video, (frame, truth) in labels.items():
        scores = smoothing(raw[video])[frame]
        scored = ~np.isnan(scores)
        videos[video] = (truth[scored], scores[scored])
    return videos
