"""Calibration: what scores are normal, from one streaming pass over the training cubes (paper Eq. 9)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hf2vad.config import FusionConfig
from hf2vad.errors import TrainingError
from hf2vad.models.bundle import Calibration
from hf2vad.progress import ProgressBar
from hf2vad.schema import F32, F64, FRAMES
from hf2vad.scoring.engine import Engine
from hf2vad.scoring.fuse import fuse, smooth, zero_error_score
from hf2vad.training.data import StcFile, StcTable

THRESHOLD_PERCENTILE = 99.9
"""Percentile of smoothed training frame scores at which an event starts by default."""
LOW_PERCENTILE = 99.0
"""Percentile down to which it extends."""


@dataclass
class Moments:
    """Mean and variance of a stream, merged chunk by chunk (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: F32) -> None:
        """Merge a chunk of values."""
        if not len(values):
            return
        chunk = values.astype(np.float64)
        mean = float(chunk.mean())
        total = self.count + len(chunk)
        self.squares += float(np.square(chunk - mean).sum()) + (mean - self.mean) ** 2 * self.count * len(chunk) / total
        self.mean += (mean - self.mean) * len(chunk) / total
        self.count = total

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count)


@dataclass
class _FileScores:
    """The errors of one file's cubes: 12 bytes a cube are kept until μ and σ are known."""

    file: StcFile
    frame: list[np.ndarray[tuple[int], np.dtype[np.int32]]]
    s_flow: list[F32]
    s_frame: list[F32]


def calibrate(table: StcTable, engine: Engine, *, fusion: FusionConfig, smoothing: int) -> Calibration:
    """μ and σ of S_r and S_p over all cubes of `table`, and the percentiles of its frame scores.

    Raises TrainingError when an error is not finite or all are the same, so that σ is 0.
    """
    moments_flow, moments_frame = Moments(), Moments()
    per_file = {file.uri: _FileScores(file, [], [], []) for file in table.files}
    with ProgressBar("calibration", total=len(table), unit="cubes") as bar:
        for file, cubes in table.in_order():
            assert cubes.appearance is not None
            scores = engine.score(cubes.appearance, cubes.flow)
            moments_flow.add(scores.s_flow)
            moments_frame.add(scores.s_frame)
            kept = per_file[file.uri]
            kept.frame.append(cubes.frame)
            kept.s_flow.append(scores.s_flow)
            kept.s_frame.append(scores.s_frame)
            bar.advance(len(cubes))
    for name, moments in (("flow", moments_flow), ("frame", moments_frame)):
        if not math.isfinite(moments.mean) or not math.isfinite(moments.squares):
            raise TrainingError(f"{table.uri}: the {name} errors of the training cubes are not finite")
        if moments.squares <= 0:
            raise TrainingError(
                f"{table.uri}: the {name} errors of all training cubes are equal; nothing can be normal"
            )
    rough = Calibration(
        flow_mean=moments_flow.mean,
        flow_std=moments_flow.std,
        frame_mean=moments_frame.mean,
        frame_std=moments_frame.std,
        threshold=0.0,
        low=0.0,
        cubes=moments_flow.count,
        frames=0,
    )
    frame_scores = _smoothed(per_file.values(), rough, fusion, smoothing)
    threshold, low = np.percentile(frame_scores, [THRESHOLD_PERCENTILE, LOW_PERCENTILE])
    return Calibration(
        flow_mean=rough.flow_mean,
        flow_std=rough.flow_std,
        frame_mean=rough.frame_mean,
        frame_std=rough.frame_std,
        threshold=float(threshold),
        low=float(low),
        cubes=rough.cubes,
        frames=len(frame_scores),
    )


def _smoothed(files: Iterable[_FileScores], calibration: Calibration, fusion: FusionConfig, smoothing: int) -> F64:
    """Smoothed scores of all frames with full context, as scoring gives them: a video's files are smoothed as one."""
    videos: dict[str, list[tuple[int, F64]]] = {}
    for kept in files:
        raw = _raw_scores(kept, calibration, fusion)
        if len(raw):
            videos.setdefault(kept.file.uri.rsplit("/", 1)[0], []).append((kept.file.stop - len(raw), raw))
    scores = []
    for parts in videos.values():
        first = min(start for start, _ in parts)
        whole = np.full(max(start + len(raw) for start, raw in parts) - first, np.nan)
        for start, raw in parts:
            whole[start - first : start - first + len(raw)] = raw
        smoothed = smooth(whole, smoothing)
        scores.append(smoothed[~np.isnan(smoothed)])
    return np.concatenate(scores)


def _raw_scores(kept: _FileScores, calibration: Calibration, fusion: FusionConfig) -> F64:
    """The highest score of each frame of one file that has full context, those without a cube included."""
    start = max(kept.file.start, FRAMES - 1)
    raw = np.full(max(0, kept.file.stop - start), -np.inf)
    for frame, s_flow, s_frame in zip(kept.frame, kept.s_flow, kept.s_frame, strict=True):
        np.maximum.at(raw, frame - start, fuse(s_flow, s_frame, calibration, fusion))
    raw[np.isneginf(raw)] = zero_error_score(calibration, fusion)
    return raw
