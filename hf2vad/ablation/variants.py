"""Frame AUROC from the errors of cubes, in the forms that the ablation compares.

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
from hf2vad.models.settings import NETWORKS
from hf2vad.plurals import count_words
from hf2vad.schema import F32, F64, FRAMES
from hf2vad.scoring.scorer import Scale, Scorer, ZScore
from hf2vad.scoring.scorer import frame_scores as highest
from hf2vad.tables.read import stem

FusionForm = Literal["weights", "zscores", "ranks"]
"""`weights`: Eq. 9. `zscores`: the same with equal weights of S_r and S_p. `ranks`: each of these two replaced by the
share of training cubes whose error is smaller, and the shares added."""

VideoLabels = Mapping[str, tuple[npt.NDArray[np.int64], Labels]]
"""Labelled frame numbers and their labels (True: anomalous), by video."""


@dataclass(frozen=True)
class Errors:
    """The values of one feature."""

    test: F32
    """(B,): of the test cubes."""
    train: F32
    """(N,): of training cubes."""


@dataclass(frozen=True)
class Cubes:
    """Test cubes: their videos and frames."""

    video: npt.NDArray[np.object_]
    """(B,): ids of videos."""
    frame: npt.NDArray[np.int32]
    """(B,)."""
    frames: Mapping[str, int]
    """Frames of each video."""


@dataclass(frozen=True)
class Ranks:
    """The scale of shares: how many training cubes have a smaller value."""

    ordered: F32
    """(N,): values of training cubes, ascending."""

    def term(self, values: F32, weight: float) -> F64:
        below = np.searchsorted(self.ordered, values, side="left")
        return np.asarray(weight * (below / len(self.ordered)), np.float64)


def fused(errors: Mapping[str, Errors], form: FusionForm, fusion: FusionConfig) -> tuple[F64, float]:
    """(B,) fused scores of the test cubes, and the score of a cube without error.

    `weights` takes every feature of `errors` that `fusion` has a weight for. Raises EvaluationError when the training
    cubes' values of a feature are all equal.
    """
    weights = {name: weight for name, weight in fusion.weights.items() if name in errors}
    if form != "weights":
        weights = dict.fromkeys(NETWORKS, 1.0)
    scale_of = _ranks if form == "ranks" else _z_score
    scorer = Scorer(weights, {name: scale_of(errors[name].train) for name in weights})
    return scorer.score({name: errors[name].test for name in weights}), scorer.empty


def _z_score(train: F32) -> Scale:
    normal = train.astype(np.float64)
    if not normal.std() > 0:
        raise EvaluationError(f"the errors of all {len(train)} training cubes are equal; nothing can be normal")
    return ZScore(float(normal.mean()), float(normal.std()))


def _ranks(train: F32) -> Scale:
    return Ranks(np.sort(train))


def frame_scores(scores: F64, nothing: float, cubes: Cubes) -> dict[str, F64]:
    """Highest score of each frame, by video: `nothing` for a frame without a cube, NaN for one without full context."""
    by_video = {}
    for video, frames in cubes.frames.items():
        mine = cubes.video == video
        by_video[video] = highest(scores[mine], cubes.frame[mine], frames, empty=nothing)
        by_video[video][: FRAMES - 1] = np.nan
    return by_video


def labelled(labels: FrameLabels, frames: Mapping[str, int]) -> dict[str, tuple[npt.NDArray[np.int64], Labels]]:
    """The labels under the ids of the archive's videos.

    Raises EvaluationError for a label without a frame, and when no video is labelled.
    """
    by_video, missing = {}, dict(labels)
    for video, count in frames.items():
        name = video if video in missing else stem(video)
        if name not in missing:
            continue
        frame, truth = missing.pop(name)
        if len(frame) and (frame[0] < 0 or frame[-1] >= count):
            raise EvaluationError(
                f"{video!r} has {count_words(count, 'frame')}, its labels are of frames {frame[0]} to {frame[-1]}"
            )
        by_video[video] = (frame, truth)
    if missing:
        raise EvaluationError(
            f"not in the test archive: {count_words(len(missing), 'labelled video')}: {next(iter(missing))!r} …"
        )
    if not by_video:
        raise EvaluationError("none of the test archive's videos is labelled")
    return by_video


def aurocs(raw: Mapping[str, F64], labels: VideoLabels, smoothings: Sequence[Smoothing]) -> list[float | None]:
    """Micro AUROC of raw frame scores under each of `smoothings`, over the labelled frames that have a score."""
    return [micro_auroc(_compared(raw, labels, smoothing)) for smoothing in smoothings]


def auroc_interval(
    raw: Mapping[str, F64], labels: VideoLabels, smoothing: Smoothing
) -> tuple[float | None, float | None]:
    """The 95 % interval of the micro AUROC over 1000 draws of videos, as an evaluation has it."""
    videos = _compared(raw, labels, smoothing)
    if len(videos) < 2:
        return None, None
    bounds, _ = interval(resampled_micro(videos, draw_videos(len(videos), 1000, 0)))
    return (None, None) if bounds is None else (bounds[0], bounds[1])


def _compared(raw: Mapping[str, F64], labels: VideoLabels, smoothing: Smoothing) -> dict[str, tuple[Labels, F64]]:
    videos = {}
    for video, (frame, truth) in labels.items():
        scores = smoothing(raw[video])[frame]
        scored = ~np.isnan(scores)
        videos[video] = (truth[scored], scores[scored])
    return videos
