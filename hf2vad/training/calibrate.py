"""Calibration: what scores are normal, from one streaming pass over the training cubes (paper Eq. 9).

The pass can be shared: each process measures some files, and what it found is merged in the order of the files, so that
the result does not depend on how many processes there were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.bundle import Calibration
from hf2vad.errors import TrainingError
from hf2vad.features.settings import FusionConfig
from hf2vad.progress import ProgressBar
from hf2vad.schema import F32, F64, FRAMES
from hf2vad.scoring.fuse import PARTS, Parts, fuse, smooth, zero_error_score
from hf2vad.scoring.measure import Measure
from hf2vad.training.data import StcFile, StcTable
from hf2vad.training.group import Group

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
        if len(values):
            chunk = values.astype(np.float64)
            mean = float(chunk.mean())
            self.merge(Moments(len(chunk), mean, float(np.square(chunk - mean).sum())))

    def merge(self, other: Moments) -> None:
        """Merge another stream's moments."""
        if not other.count:
            return
        total = self.count + other.count
        self.squares += other.squares + (other.mean - self.mean) ** 2 * self.count * other.count / total
        self.mean += (other.mean - self.mean) * other.count / total
        self.count = total

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count)


@dataclass(frozen=True)
class MeasuredFile:
    """The parts of one file's cubes, 20 bytes a cube, kept until μ and σ are known."""

    file: StcFile
    frame: np.ndarray[tuple[int], np.dtype[np.int32]]
    parts: Parts
    """In the unit that they are fused in."""


@dataclass(frozen=True)
class Calibrations:
    """What is normal for all cameras together, and for each that has enough cubes."""

    overall: Calibration
    cameras: Mapping[str, Calibration]


def measure_files(table: StcTable, measure: Measure, files: Sequence[StcFile] | None = None) -> list[MeasuredFile]:
    """Measure all cubes of `files` (none: of the table)."""
    files = table.files if files is None else files
    found: dict[str, list[tuple[np.ndarray[tuple[int], np.dtype[np.int32]], Parts]]] = {f.uri: [] for f in files}
    with ProgressBar("calibration", total=sum(sum(file.groups) for file in files), unit="cubes") as bar:
        for file, cubes in table.in_order(files=files):
            assert cubes.appearance is not None
            parts = measure.scaled(measure(cubes.appearance, cubes.flow, cubes.boxes), cubes.boxes)
            found[file.uri].append((cubes.frame, parts))
            bar.advance(len(cubes))
    return [_joined(file, found[file.uri]) for file in files]


def measure_together(table: StcTable, measure: Measure, group: Group) -> list[MeasuredFile]:
    """All files of `table`, each measured by one process of `group`; every process gets all of them, in order."""
    shares = [table.files[rank :: group.world] for rank in range(group.world)]
    own = measure_files(table, measure, shares[group.rank])
    if group.world == 1:
        return own
    columns = [[file.frame.astype(np.float64), *(getattr(file.parts, name) for name in PARTS)] for file in own]
    values = np.concatenate([np.empty((0, 1 + len(PARTS))), *(np.stack(column, axis=1) for column in columns)])
    most = max(sum(sum(file.groups) for file in share) for share in shares)
    padded = np.zeros((most, values.shape[1]))
    padded[: len(values)] = values
    found: dict[str, MeasuredFile] = {}
    for share, sent in zip(shares, group.gather(torch.from_numpy(padded)), strict=True):
        ends = np.cumsum([sum(file.groups) for file in share])
        for file, rows in zip(share, np.split(sent.numpy(), ends)[:-1], strict=True):
            parts = Parts(**{name: rows[:, 1 + i].astype(np.float32) for i, name in enumerate(PARTS)})
            found[file.uri] = MeasuredFile(file, rows[:, 0].astype(np.int32), parts)
    return [found[file.uri] for file in table.files]


def calibrate(
    files: Sequence[MeasuredFile],
    *,
    fusion: FusionConfig,
    smoothing: int,
    where: str,
    camera_pattern: str = "",
    camera_cubes: int = 1000,
) -> Calibrations:
    """μ and σ of every part over all cubes, and the percentiles of the frame scores; the same for each camera.

    A camera with fewer than `camera_cubes` cubes has no calibration of its own. Raises TrainingError, naming `where`,
    when a part that counts is not finite or always the same, so that σ is 0.
    """
    overall = _calibration(files, fusion, smoothing, where)
    pattern = PathPattern.of_camera(camera_pattern)
    by_camera: dict[str, list[MeasuredFile]] = {}
    for file in files:
        by_camera.setdefault(pattern.camera_of(file.file.video), []).append(file)
    by_camera.pop("", None)
    enough = {
        name: group for name, group in by_camera.items() if sum(len(file.frame) for file in group) >= camera_cubes
    }
    cameras = {
        name: _calibration(group, fusion, smoothing, f"{where}, camera {name}") for name, group in enough.items()
    }
    return Calibrations(overall, cameras)


def _joined(file: StcFile, found: list[tuple[np.ndarray[tuple[int], np.dtype[np.int32]], Parts]]) -> MeasuredFile:
    if not found:
        return MeasuredFile(file, np.empty(0, np.int32), Parts.nothing(0))
    parts = Parts(**{name: np.concatenate([getattr(part, name) for _, part in found]) for name in PARTS})
    return MeasuredFile(file, np.concatenate([frame for frame, _ in found]), parts)


def _calibration(files: Sequence[MeasuredFile], fusion: FusionConfig, smoothing: int, where: str) -> Calibration:
    moments = {name: Moments() for name in PARTS}
    for file in files:
        for name, sums in moments.items():
            sums.add(getattr(file.parts, name))
    for name in PARTS:
        if name in ("flow", "frame") or getattr(fusion, name):
            _check(name, moments[name], where)
    values = {f"{name}_mean": found.mean for name, found in moments.items()}
    values |= {f"{name}_std": found.std or 1.0 for name, found in moments.items()}
    rough = Calibration(**values, threshold=0.0, low=0.0, cubes=moments["flow"].count, frames=0)
    scores = _smoothed(files, rough, fusion, smoothing)
    threshold, low = np.percentile(scores, [THRESHOLD_PERCENTILE, LOW_PERCENTILE])
    return replace(rough, threshold=float(threshold), low=float(low), frames=len(scores))


def _check(name: str, moments: Moments, where: str) -> None:
    if not math.isfinite(moments.mean) or not math.isfinite(moments.squares):
        raise TrainingError(f"{where}: the {name} errors of the training cubes are not finite")
    if moments.squares <= 0:
        raise TrainingError(f"{where}: the {name} errors of all training cubes are equal; nothing can be normal")


def _smoothed(files: Iterable[MeasuredFile], calibration: Calibration, fusion: FusionConfig, smoothing: int) -> F64:
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


def _raw_scores(kept: MeasuredFile, calibration: Calibration, fusion: FusionConfig) -> F64:
    """The highest score of each frame of one file that has full context, those without a cube included."""
    start = max(kept.file.start, FRAMES - 1)
    raw = np.full(max(0, kept.file.stop - start), -np.inf)
    np.maximum.at(raw, kept.frame - start, fuse(kept.parts, calibration, fusion))
    raw[np.isneginf(raw)] = zero_error_score(calibration, fusion)
    return raw
