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

from hf2vad.errors import BundleError, ConfigError, ShapeError
from hf2vad.features.feature import CubeArrays, CubeSample, Feature, Need
from hf2vad.schema import F16, F32, F64, FLOW_SHAPE, SIZE
from hf2vad.settings import require

CHUNK = 1024
"""Cubes compared with all exemplars at once: 32 MB."""

ARRAYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "knn": ("exemplars",),
    "gmm": ("log_weights", "means", "precision_roots", "lowest"),
}
"""Names of the fitted arrays, by kind. knn: exemplars (N, directions). gmm: log weights (C,), means (C, directions),
the transposed inverse Cholesky factors of the covariances (C, directions, directions), the lowest training value
(1,)."""


@dataclass(frozen=True, kw_only=True)
class DensityConfig:
    """How likely a cube's motion is among the training cubes: a histogram of its flow over directions."""

    kind: Literal["none", "knn", "gmm"] = "none"
    """`knn`: mean distance to the nearest exemplars. `gmm`: −log density of a Gaussian mixture."""

    height: Literal["none", "box", "perspective"] = "none"
    """Divide by nothing, by the box's own height, or by the height expected at its image row."""

    directions: int = 8
    """Bins of the histogram."""

    neighbours: int = 8
    """`knn`: exemplars that count."""

    exemplars: int = 4096
    """`knn`: training cubes that are kept, at most."""

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
    """How unusual a cube's motion is; 0 is as usual as anything in training. Not fitted with `density.kind none`."""

    name = "motion"
    word = "motion"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow", "boxes"})
    Settings = DensityConfig

    def __post_init__(self) -> None:
        missing = [name for name in ARRAYS[self.settings.kind] if name not in self.arrays]
        if self.arrays and missing:
            raise BundleError(f"density of kind {self.settings.kind} lacks {', '.join(missing)}")
        if self.arrays and self.settings.height == "perspective" and self.perspective is None:
            raise BundleError("density.height = perspective, but there is no perspective")

    @classmethod
    def key(cls) -> str:
        return "density"

    @classmethod
    def check(cls, settings: DensityConfig) -> None:
        if settings.kind == "none":
            raise ConfigError("fusion.motion needs a density; give density.kind knn or gmm")

    @property
    def fitted(self) -> bool:
        return bool(self.arrays)

    def fit(self, sample: CubeSample) -> Self:
        blank = replace(self, perspective=sample.perspective)
        flow, boxes = sample.cubes.flow, sample.cubes.boxes
        starts = range(0, len(boxes), CHUNK)
        histograms = [blank.histograms(flow[i : i + CHUNK], boxes[i : i + CHUNK]) for i in starts]
        values = np.concatenate(histograms).astype(np.float64)
        arrays = (
            self._exemplars(values, sample.seed) if self.settings.kind == "knn" else self._mixture(values, sample.seed)
        )
        return replace(blank, arrays=arrays)

    def measure(self, cubes: CubeArrays) -> F32:
        histograms = self.histograms(cubes.flow, cubes.boxes).astype(np.float64)
        unusual = self._distance if self.settings.kind == "knn" else self._surprise
        parts = [unusual(histograms[start : start + CHUNK]) for start in range(0, len(histograms), CHUNK)]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)

    def histograms(self, flow: F16, boxes: F32) -> F32:
        """(B, directions) for (B, 4, 32, 32, 2) flow in (B, 4) boxes, divided by heights as `density.height` says."""
        found = motion_histogram(flow, self.settings.directions)
        if self.settings.height == "box":
            mean = self.perspective.mean if self.perspective is not None else 1.0
            return np.asarray(found * (mean / np.maximum(boxes[:, 3] - boxes[:, 1], 1.0))[:, None], np.float32)
        if self.settings.height == "perspective":
            assert self.perspective is not None
            return np.asarray(found / self.perspective.heights(boxes)[:, None], np.float32)
        return found

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
        squared = np.square(histograms).sum(1)[:, None] + np.square(exemplars).sum(1) - 2 * histograms @ exemplars.T
        count = min(self.settings.neighbours, len(exemplars))
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(1))

    def _surprise(self, histograms: F64) -> F64:
        log_weights, means, roots = (self.arrays[n].astype(np.float64) for n in ARRAYS["gmm"][:3])
        whitened = np.einsum("bcd,cde->bce", histograms[:, None] - means, roots)
        log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
        each = log_weights + log_roots - 0.5 * (means.shape[1] * math.log(2 * math.pi) + np.square(whitened).sum(2))
        return np.asarray(np.maximum(-np.logaddexp.reduce(each, axis=1) - float(self.arrays["lowest"][0]), 0))


def motion_histogram(flow: F16, directions: int) -> F32:
    """(B, directions) for (B, 4, 32, 32, 2) flow: mean over the crop of the speed of pixels that move that way.

    Of the four flows the median vector counts, component by component, so that one bad field does not.
    """
    if flow.shape[1:] != FLOW_SHAPE:
        raise ShapeError(f"a cube has {FLOW_SHAPE} flow, got {flow.shape[1:]}")
    pixels = SIZE * SIZE
    vectors = np.median(flow.astype(np.float32), axis=1)
    speed = np.sqrt(np.square(vectors).sum(-1))
    turn = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * math.pi) + 0.5
    way = np.minimum((turn * directions).astype(np.int64), directions - 1)
    rows = np.repeat(np.arange(len(flow)), pixels)
    summed = np.bincount(rows * directions + way.ravel(), speed.ravel(), minlength=len(flow) * directions)
    return (summed.reshape(len(flow), directions) / pixels).astype(np.float32)
