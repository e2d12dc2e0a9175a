"""How unlike the training cubes a cube moves: a density over histograms of flow, without a network.

After the velocity feature of Reiss and Hoshen 2022 (attribute-based video anomaly detection): flow speed summed by
direction. Fitted by training/normal.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf2vad.errors import BundleError, ShapeError
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import DensityConfig
from hf2vad.schema import F16, F32, F64, FLOW_SHAPE, SIZE

CHUNK = 1024
"""Cubes compared with all exemplars at once: 32 MB."""

ARRAYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "knn": ("exemplars",),
    "gmm": ("log_weights", "means", "precision_roots", "lowest"),
}
"""What is fitted, by kind."""


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


@dataclass(frozen=True)
class MotionDensity:
    """A fitted density."""

    config: DensityConfig
    arrays: Mapping[str, F32]
    """As ARRAYS names them: exemplars (N, directions); log weights (C,), means (C, directions), the transposed inverse
    Cholesky factors of the covariances (C, directions, directions), and the lowest training score (1,)."""
    perspective: Perspective | None = None

    def __post_init__(self) -> None:
        missing = [name for name in ARRAYS[self.config.kind] if name not in self.arrays]
        if missing:
            raise BundleError(f"density of kind {self.config.kind} lacks {', '.join(missing)}")
        if self.config.height == "perspective" and self.perspective is None:
            raise BundleError("density.height = perspective, but there is no perspective")

    def features(self, flow: F16, boxes: F32) -> F32:
        """(B, directions) histograms of (B, 4, 32, 32, 2) flow, divided by heights as configured."""
        found = motion_histogram(flow, self.config.directions)
        if self.config.height == "box":
            mean = self.perspective.mean if self.perspective is not None else 1.0
            return np.asarray(found * (mean / np.maximum(boxes[:, 3] - boxes[:, 1], 1.0))[:, None], np.float32)
        if self.config.height == "perspective":
            assert self.perspective is not None
            return np.asarray(found / self.perspective.heights(boxes)[:, None], np.float32)
        return found

    def score(self, flow: F16, boxes: F32) -> F32:
        """(B,): how unusual the motion is; 0 is as usual as anything in training, larger is less usual."""
        if self.config.kind == "none":
            return np.zeros(len(flow), np.float32)
        found = self.features(flow, boxes).astype(np.float64)
        measure = self._distance if self.config.kind == "knn" else self._surprise
        parts = [measure(found[start : start + CHUNK]) for start in range(0, len(found), CHUNK)]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)

    def _distance(self, found: F64) -> F64:
        exemplars = self.arrays["exemplars"].astype(np.float64)
        squared = np.square(found).sum(1)[:, None] + np.square(exemplars).sum(1) - 2 * found @ exemplars.T
        count = min(self.config.neighbours, len(exemplars))
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(1))

    def _surprise(self, found: F64) -> F64:
        log_weights, means, roots = (self.arrays[n].astype(np.float64) for n in ARRAYS["gmm"][:3])
        whitened = np.einsum("bcd,cde->bce", found[:, None] - means, roots)
        log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
        each = log_weights + log_roots - 0.5 * (means.shape[1] * math.log(2 * math.pi) + np.square(whitened).sum(2))
        return np.asarray(np.maximum(-np.logaddexp.reduce(each, axis=1) - float(self.arrays["lowest"][0]), 0))


NO_DENSITY = MotionDensity(DensityConfig(), {})
"""Finds nothing unusual."""
