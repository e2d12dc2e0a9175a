"""Feature `motion`: how unlike the training cubes a cube moves, by a density over histograms of its flow.

After the velocity feature of Reiss and Hoshen 2022 (attribute-based video anomaly detection): flow speed summed by
direction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from hf2vad.errors import BundleError, ConfigError
from hf2vad.features.exemplars import camera_exemplars, distances, fit_exemplars, has_camera
from hf2vad.features.feature import CameraShare, CubeArrays, CubeSample, Feature, Need, Topic, speeds
from hf2vad.features.pace import read_pace
from hf2vad.features.rows import products_by_row
from hf2vad.schema import F32, F64, SIZE
from hf2vad.settings import require

CHUNK = 1024
"""Cubes compared with all exemplars at once: 32 MB."""

ARRAYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "exemplars": ("exemplars", "fold"),
    "knn": ("exemplars",),
    "gmm": ("log_weights", "means", "precision_roots", "lowest"),
}
"""Names of the fitted arrays, by kind. exemplars: see exemplars.py. knn: exemplars (N, directions). gmm: log weights
(C,), means (C, directions), the transposed inverse Cholesky factors of the covariances (C, directions, directions), the
lowest training value (1,)."""


@dataclass(frozen=True, kw_only=True)
class DensityConfig:
    """Density of motion among the training cubes, as a histogram of flow over directions."""

    kind: Literal["none", "exemplars", "knn", "gmm"] = "none"
    """`exemplars`: distance to the nearest k-means centre. `knn`: mean distance to the nearest training cubes. `gmm`:
    −log density of a Gaussian mixture."""

    height: Literal["none", "box", "perspective", "speed"] = "none"
    """Divide by nothing, by the box's own height, by the height expected at its image row, or by the speed expected
    there."""

    directions: int = 8
    """Bins of the histogram."""

    neighbours: int = 8
    """`knn`: exemplars that count."""

    exemplars: int = 4096
    """`exemplars`, `knn`: how many are kept, at most."""

    components: int = 5
    """`gmm`: Gaussians."""

    def __post_init__(self) -> None:
        for name in ("directions", "neighbours", "exemplars", "components"):
            require(getattr(self, name) > 0, f"density.{name} must be positive, got {getattr(self, name)}")
        require(
            self.neighbours <= self.exemplars,
            f"density.neighbours {self.neighbours} is above density.exemplars {self.exemplars}",
        )


class Motion(Feature[DensityConfig]):
    """Distance of a cube's motion from the training cubes; 0 for motion as usual as any in training. Not fitted with
    `density.kind none`."""

    name = "motion"
    word = "motion"
    topic: ClassVar[Topic] = "motion"
    says = "moves at an unusual speed or in an unusual direction"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
    Settings = DensityConfig

    def __post_init__(self) -> None:
        missing = [name for name in ARRAYS[self.settings.kind] if name not in self.arrays]
        if self.arrays and missing:
            raise BundleError(f"density of kind {self.settings.kind} lacks {', '.join(missing)}")
        if self.arrays and self.settings.height == "perspective" and self.perspective is None:
            raise BundleError("density.height = perspective, but there is no perspective")
        if self.arrays and self.settings.height == "speed":
            read_pace(self.arrays)

    @classmethod
    def key(cls) -> str:
        return "density"

    @classmethod
    def check(cls, settings: DensityConfig) -> None:
        if settings.kind == "none":
            raise ConfigError("fusion.motion needs a density; give density.kind exemplars, knn or gmm")

    @property
    def fitted(self) -> bool:
        return bool(self.arrays)

    def fit(self, sample: CubeSample) -> Self:
        if self.settings.kind == "none":
            return self
        pace = sample.pace.arrays() if self.settings.height == "speed" else {}
        blank = replace(self, perspective=sample.perspective)
        values = np.concatenate([blank.histograms(chunk, pace) for chunk in sample.cubes.chunks()])
        return replace(blank, arrays={**pace, **self._fitted(values, sample)})

    def fit_camera(self, camera: str, sample: CubeSample, own: CameraShare) -> Self:
        if self.settings.kind != "exemplars":
            return self
        return replace(self, arrays={**self.arrays, **camera_exemplars(camera, self._vectors, sample, own)})

    def of_camera(self, camera: str) -> Self:
        return replace(self, camera=camera) if has_camera(self.arrays, camera) else self

    def measure(self, cubes: CubeArrays) -> F32:
        if self.settings.kind == "exemplars":
            return distances(self, self._vectors, cubes)
        histograms = self._vectors(cubes)
        exact = histograms.astype(np.float64)
        unusual = self._distance if self.settings.kind == "knn" else self._surprise
        parts = [unusual(exact[start : start + CHUNK]) for start in range(0, len(exact), CHUNK)]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)

    def _vectors(self, cubes: CubeArrays) -> F32:
        return self.histograms(cubes, self.arrays)

    def histograms(self, cubes: CubeArrays, pace: Mapping[str, F32]) -> F32:
        """(B, directions), divided by heights or speeds as `density.height` says; pace: array of expected speeds."""
        histograms = motion_histogram(cubes.median_flow, self.settings.directions)
        height, boxes = self.settings.height, cubes.boxes
        if height == "box":
            mean = self.perspective.mean if self.perspective is not None else 1.0
            return np.asarray(histograms * (mean / np.maximum(boxes[:, 3] - boxes[:, 1], 1.0))[:, None], np.float32)
        if height == "perspective":
            assert self.perspective is not None
            return np.asarray(histograms / self.perspective.heights(boxes)[:, None], np.float32)
        if height == "speed":
            return np.asarray(histograms / read_pace(pace).speeds(boxes)[:, None], np.float32)
        return histograms

    def _fitted(self, histograms: F32, sample: CubeSample) -> dict[str, F32]:
        if self.settings.kind == "exemplars":
            fold = sample.cubes.fold if sample.cubes.fold is not None else np.zeros(len(histograms), np.int32)
            return fit_exemplars(histograms, fold, self.settings.exemplars, seed=sample.seed)
        exact = histograms.astype(np.float64)
        return self._exemplars(exact, sample.seed) if self.settings.kind == "knn" else self._mixture(exact, sample.seed)

    def _exemplars(self, histograms: F64, seed: int) -> dict[str, F32]:
        kept = np.random.default_rng([seed, 3]).permutation(len(histograms))[: self.settings.exemplars]
        return {"exemplars": histograms[np.sort(kept)].astype(np.float32)}

    def _mixture(self, histograms: F64, seed: int) -> dict[str, F32]:
        from sklearn.mixture import GaussianMixture  # seconds and megabytes that only training pays

        components = min(self.settings.components, len(np.unique(histograms, axis=0)))
        mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4).fit(histograms)
        arrays = {
            "log_weights": np.log(mixture.weights_),
            "means": mixture.means_,
            "precision_roots": mixture.precisions_cholesky_,
            "lowest": np.array([-mixture.score_samples(histograms).max()]),
        }
        return {name: np.ascontiguousarray(value, np.float32) for name, value in arrays.items()}

    def _distance(self, histograms: F64) -> F64:
        exemplars = self.arrays["exemplars"].astype(np.float64)
        products = products_by_row(histograms, exemplars.T)
        squared = np.square(histograms).sum(1)[:, None] + np.square(exemplars).sum(1) - 2 * products
        count = min(self.settings.neighbours, len(exemplars))
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(1))

    def _surprise(self, histograms: F64) -> F64:
        log_weights, means, roots = (self.arrays[n].astype(np.float64) for n in ARRAYS["gmm"][:3])
        whitened = np.einsum("bcd,cde->bce", histograms[:, None] - means, roots)
        log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
        each = log_weights + log_roots - 0.5 * (means.shape[1] * math.log(2 * math.pi) + np.square(whitened).sum(2))
        return np.asarray(np.maximum(-np.logaddexp.reduce(each, axis=1) - float(self.arrays["lowest"][0]), 0))


def motion_histogram(vectors: F32, directions: int) -> F32:
    """(B, directions) for (B, 32, 32, 2) flow: mean over the crop of the speed of pixels that move that way."""
    pixels = SIZE * SIZE
    speed = speeds(vectors)
    turn = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * math.pi) + 0.5
    way = np.minimum((turn * directions).astype(np.int64), directions - 1)
    rows = np.repeat(np.arange(len(vectors)), pixels)
    summed = np.bincount(rows * directions + way.ravel(), speed.ravel(), minlength=len(vectors) * directions)
    return (summed.reshape(len(vectors), directions) / pixels).astype(np.float32)
