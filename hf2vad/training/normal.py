"""What is normal without a network: the perspective of the training boxes, and the density of their motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import HuberRegressor
from sklearn.mixture import GaussianMixture

from hf2vad.features.density import CHUNK, MotionDensity
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import DensityConfig
from hf2vad.schema import F16, F32, FLOW_SHAPE
from hf2vad.training.data import StcTable

SAMPLE = 20_000
"""Cubes that both are fitted on, at most: as many of each row group as its share."""


@dataclass(frozen=True)
class MotionSample:
    """Flow and boxes of some cubes of a table."""

    flow: F16
    """(B, 4, 32, 32, 2); no rows where it was not asked for."""
    boxes: F32
    """(B, 4)."""


def motion_sample(table: StcTable, *, most: int = SAMPLE, seed: int = 0, flow: bool = True) -> MotionSample:
    """At most about `most` cubes of `table`, the same ones for the same seed.

    `flow`: whether flow is wanted too, for which the flow of the whole table is read once.
    """
    rng = np.random.default_rng([seed, 2])
    share = min(1.0, most / max(1, len(table)))

    def some(rows: int) -> npt.NDArray[np.int64]:
        return np.sort(rng.permutation(rows)[: max(1, round(share * rows))])

    flows, boxes = [np.empty((0, *FLOW_SHAPE), np.float16)], [np.empty((0, 4), np.float32)]
    if flow:
        for _, cubes in table.in_order(appearance=False):
            chosen = some(len(cubes))
            flows.append(cubes.flow[chosen])
            boxes.append(cubes.boxes[chosen])
    else:
        boxes += [found[some(len(found))] for found in table.boxes()]
    return MotionSample(np.concatenate(flows), np.concatenate(boxes))


def fit_perspective(boxes: F32) -> Perspective:
    """The line through (row of the lower edge, height) of (B, 4) boxes that outliers bend least (Huber's loss).

    A line that does not rise downwards, boxes of one row alone, or none, say nothing of perspective: it is then level.
    """
    if not len(boxes):
        return Perspective(intercept=1.0, slope=0.0, mean=1.0)
    heights = (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    rows = boxes[:, 3].astype(np.float64)
    level = Perspective(intercept=float(heights.mean()), slope=0.0, mean=float(heights.mean()))
    spread = rows.std()
    if len(boxes) < 10 or spread < 1e-6:
        return level
    line = HuberRegressor(max_iter=1000).fit(((rows - rows.mean()) / spread)[:, None], heights)
    slope = float(line.coef_[0] / spread)
    if slope <= 0:
        return level
    intercept = float(line.intercept_ - slope * rows.mean())
    return Perspective(intercept=intercept, slope=slope, mean=float((intercept + slope * rows).mean()))


def fit_density(
    sample: MotionSample, config: DensityConfig, perspective: Perspective, *, seed: int = 0
) -> MotionDensity:
    """The density of kind `config.kind` of the cubes in `sample`."""
    if config.kind == "none":
        return MotionDensity(config, {}, perspective)
    blank = MotionDensity(DensityConfig(height=config.height, directions=config.directions), {}, perspective)
    starts = range(0, len(sample.flow), CHUNK)
    found = np.concatenate(
        [blank.features(sample.flow[i : i + CHUNK], sample.boxes[i : i + CHUNK]) for i in starts]
    ).astype(np.float64)
    if config.kind == "knn":
        kept = np.random.default_rng([seed, 3]).permutation(len(found))[: config.exemplars]
        return MotionDensity(config, {"exemplars": found[np.sort(kept)].astype(np.float32)}, perspective)
    components = min(config.components, len(np.unique(found, axis=0)))
    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4).fit(found)
    arrays = {
        "log_weights": np.log(mixture.weights_),
        "means": mixture.means_,
        "precision_roots": mixture.precisions_cholesky_,
        "lowest": np.array([-mixture.score_samples(found).max()]),
    }
    single = {name: np.ascontiguousarray(value, np.float32) for name, value in arrays.items()}
    return MotionDensity(config, single, perspective)
