"""Calibration: what scores are normal, from what features say of the training cubes (paper Eq. 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from hf2vad.bundle.calibration import Calibration, Moments
from hf2vad.errors import TrainingError
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.features.tail import counted_tail, fit_tail, own_share
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.measure import MeasuredFile
from hf2vad.fitting.running_moments import RunningMoments
from hf2vad.fitting.sample import NO_CAMERAS
from hf2vad.schema import F64, FRAMES
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.scoring.smooth import smooth
from hf2vad.video.sampled import holders

THRESHOLD_PERCENTILE = 99.9
"""Percentile of smoothed training frame scores at which an event starts by default."""
LOW_PERCENTILE = 99.0
"""Percentile down to which it extends."""

Smoothed = Callable[[Sequence[MeasuredFile], Scorer], F64]
"""Smoothed scores of the frames of files."""


@dataclass(frozen=True)
class Calibrations:
    """Distributions for all cameras together, and for each camera with enough cubes."""

    overall: Calibration
    cameras: Mapping[str, Calibration]


def calibrate(
    files: Sequence[MeasuredFile],
    *,
    fusion: FusionConfig,
    smoothing: SmoothingRule,
    where: str,
    cameras: Cameras = NO_CAMERAS,
    camera_cubes: int = 1000,
    plain: Sequence[MeasuredFile] | None = None,
) -> Calibrations:
    """Distributions over all cubes and for each camera: mean and deviation of every measured feature, with `fusion.rule
    = surprise` the distribution of each weighted feature, and percentiles of the frame scores.

    With Eq. 9 each camera that a pattern names has μ and σ of its own where it has `camera_cubes` cubes. By surprise
    each camera that is learnt apart has distributions of its own, shrunk towards those of all cameras where they rest
    on few cubes.

    plain: the values of features without a network over more footage, where `files` are held-out footage alone, because
    the network knows the rest; these features are then judged by all of it. None: `files` are all.

    Raises TrainingError, naming `where`, when a feature with a weight is not finite or, with Eq. 9, always the same, so
    that σ is 0.
    """
    plain = files if plain is None else plain
    smoothed = partial(_smoothed, smoothing=smoothing)
    overall = _calibration(files, plain, fusion, smoothed, where)
    camera_of = cameras.apart_of if fusion.rule == "surprise" else cameras.pattern.camera_of
    groups, plain_groups = _by_camera(files, camera_of), _by_camera(plain, camera_of)
    least = 1 if fusion.rule == "surprise" else camera_cubes
    calibrations = {
        name: _calibration(group, plain_groups[name], fusion, smoothed, f"{where}, camera {name}", overall)
        for name, group in groups.items()
        if sum(len(file.frame) for file in group) >= least
    }
    return Calibrations(overall, calibrations)


def _by_camera(files: Sequence[MeasuredFile], camera_of: Callable[[str], str]) -> dict[str, list[MeasuredFile]]:
    groups: dict[str, list[MeasuredFile]] = {}
    for file in files:
        if name := camera_of(file.file.path):
            groups.setdefault(name, []).append(file.as_camera)
    return groups


def _calibration(
    files: Sequence[MeasuredFile],
    plain: Sequence[MeasuredFile],
    fusion: FusionConfig,
    smoothed: Smoothed,
    where: str,
    overall: Calibration | None = None,
) -> Calibration:
    """Calibration over the cubes of `files` and `plain`. `overall`: that of all cameras, if these are one camera's."""
    sources = {name: plain if name in plain[0].values else files for name in files[0].values}
    running = {name: RunningMoments() for name in sources}
    for name, moments in running.items():
        for file in sources[name]:
            moments.add(file.values[name])
    for name in fusion.weights:
        _check(name, running[name], where, may_be_equal=fusion.rule == "surprise")
    rough = Calibration(
        moments={name: Moments(moments.mean, moments.std or 1.0) for name, moments in running.items()},
        threshold=0.0,
        low=0.0,
        cubes=sum(len(file.frame) for file in plain),
        frames=0,
    )
    if fusion.rule == "eq9":
        return _with_thresholds(rough, files, Scorer.eq9(fusion, rough), smoothed)
    counted = {name: feature_classes()[name].counted for name in fusion.weights}
    tails = {
        name: (counted_tail if counted[name] else fit_tail)(
            np.concatenate([file.values[name] for file in sources[name]])
        )
        for name in fusion.weights
    }
    rough = replace(rough, tails=tails)
    sums = _sums(files, Scorer.surprise(fusion, rough, overall or rough))
    rough = replace(rough, total=(counted_tail if all(counted.values()) else fit_tail)(sums))
    own = _with_thresholds(rough, files, Scorer.surprise(fusion, rough, overall or rough), smoothed)
    return own if overall is None else _shrunk(own, overall)


def _sums(files: Sequence[MeasuredFile], scorer: Scorer) -> F64:
    """Values that the scorer adds up, per cube or per frame with a cube."""
    if not scorer.at_frame:
        return np.concatenate([scorer.sums(file.values) for file in files])
    sums = []
    for file in files:
        frame, number = np.unique(file.frame, return_inverse=True)
        sums.append(scorer.frame_sums(file.values, number, len(frame)))
    return np.concatenate(sums)


def _with_thresholds(
    rough: Calibration, files: Sequence[MeasuredFile], scorer: Scorer, smoothed: Smoothed
) -> Calibration:
    scores = smoothed(files, scorer)
    threshold, low = np.percentile(scores, [THRESHOLD_PERCENTILE, LOW_PERCENTILE])
    return replace(rough, threshold=float(threshold), low=float(low), frames=len(scores))


def _shrunk(own: Calibration, overall: Calibration) -> Calibration:
    """A camera's calibration with its thresholds shrunk as its distributions are."""
    share = own_share(own.cubes)
    low, threshold = (
        share * getattr(own, name) + (1 - share) * getattr(overall, name) for name in ("low", "threshold")
    )
    return replace(own, threshold=threshold, low=low)


def _check(name: str, moments: RunningMoments, where: str, *, may_be_equal: bool) -> None:
    if not math.isfinite(moments.mean) or not math.isfinite(moments.squares):
        raise TrainingError(f"{where}: the {name} errors of the training cubes are not finite")
    if moments.squares <= 0 and not may_be_equal:
        raise TrainingError(f"{where}: the {name} errors of all training cubes are equal; nothing can be normal")


def _smoothed(files: Iterable[MeasuredFile], scorer: Scorer, *, smoothing: SmoothingRule) -> F64:
    """Smoothed scores of all frames with full context, as scoring gives them: a video's files are smoothed as one."""
    videos: dict[str, list[tuple[int, F64, npt.NDArray[np.bool_], float]]] = {}
    for measured in files:
        raw = _raw_scores(measured, scorer)
        if len(raw):
            start, between = measured.file.stop - len(raw), measured.file.between[-len(raw) :]
            videos.setdefault(measured.file.uri.rsplit("/", 1)[0], []).append(
                (start, raw, between, measured.file.fps or 0.0)
            )
    scores = []
    for parts in videos.values():
        first = min(start for start, *_ in parts)
        whole = np.full(max(start + len(raw) for start, raw, *_ in parts) - first, np.nan)
        held = np.zeros(len(whole), np.bool_)
        for start, raw, between, _ in parts:
            whole[start - first : start - first + len(raw)] = raw
            held[start - first : start - first + len(raw)] = between
        window = smoothing.window(float(np.median([fps for *_, fps in parts])))
        smoothed = smooth(whole[holders(held)], window, smoothing.ends)
        scores.append(smoothed[~np.isnan(smoothed)])
    return np.concatenate(scores)


def _raw_scores(measured: MeasuredFile, scorer: Scorer) -> F64:
    """The highest score of each frame of one file that has full context, those without a cube included."""
    start = max(measured.file.start, FRAMES - 1)
    if measured.file.worked and measured.file.start == 0:
        start = next(iter(np.flatnonzero(~measured.file.between)[FRAMES - 1 :].tolist()), measured.file.stop)
    frames = max(0, measured.file.stop - start)
    return scorer.frame_scores(measured.values, measured.frame - start, frames)
