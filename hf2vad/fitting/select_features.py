"""Selection of the features of an Eq. 9 score by pseudo-anomalies (see select.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hf2vad.engines.eager import Engine
from hf2vad.features.feature import CubeArrays, CubeSample
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.perspective import fit_perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FEATURES, FusionConfig
from hf2vad.fitting.pseudo import HeldOut, cubes_of, figure_row, first_best, pseudo_anomalies, separation
from hf2vad.schema import F64
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import FeatureValues, Scorer, ZScore, in_heights
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcTable

DENSITIES = tuple(
    DensityConfig(kind=kind, height=height) for kind in ("knn", "gmm") for height in ("none", "perspective")
)
FUSIONS: Mapping[str, tuple[str, ...]] = {
    "flow": ("flow",),
    "speed": ("speed",),
    "motion": ("motion",),
    "flow + speed": ("flow", "speed"),
    "speed + motion": ("speed", "motion"),
    "flow + frame + speed": ("flow", "frame", "speed"),
    "flow + speed + motion": ("flow", "speed", "motion"),
    "all": ("flow", "frame", "speed", "motion"),
}
"""Equal weights of z-scores, from simple to complicated; the preset's fusion stands before them, a fitted one after.
Only the paper's features, speed and motion: the others have outliers by which z-scores are ruled."""


def choose_features(
    engine: Engine,
    fit: StcTable,
    held: HeldOut,
    *,
    preset: FusionConfig,
    smoothing: SmoothingRule,
    cubes: int,
    margin: float,
    seed: int,
) -> tuple[FusionConfig, DensityConfig, list[dict[str, Any]]]:
    """Weights of the features, the density that `motion` needs, and a row of figures a candidate.

    `engine` runs networks that were trained on `fit` alone; features are fitted on about `cubes` of its cubes, and
    z-scores are over those.
    """
    training_cubes = cubes_of(fit, cubes)
    sample = CubeSample(cubes=training_cubes.cubes, perspective=fit_perspective(training_cubes.cubes.boxes), seed=seed)
    unusual: dict[str, CubeArrays] = {kind: pseudo_anomalies(held, kind, seed=seed) for kind in held.kinds}

    def row(step: str, candidate: str, normal: F64, scores: Mapping[str, F64]) -> dict[str, Any]:
        figures = {kind: separation(held, normal, scores[kind], smoothing=smoothing) for kind in held.kinds}
        return figure_row(step, candidate, figures)

    motions = [Motion(config).fit(sample) for config in DENSITIES]
    density_rows = [
        row(
            "density",
            f"{motion.settings.kind}, by {motion.settings.height} height",
            motion.measure(held.cubes).astype(np.float64),
            {kind: motion.measure(cubes).astype(np.float64) for kind, cubes in unusual.items()},
        )
        for motion in motions
    ]
    best = first_best([each["mean"] for each in density_rows], margin)
    density_rows[best]["chosen"] = True
    names = [name for name in FEATURES if name in FUSIONS["all"] or name in preset.weights]
    classes = feature_classes()
    fitted = {name: classes[name](classes[name].Settings()).fit(sample) for name in names if name != Motion.name}
    features = FeatureSet({name: fitted.get(name, motions[best]) for name in names}, engine, engine.batch)
    in_pixels = {clip: features.measure(cubes) for clip, cubes in {"held": held.cubes, **unusual}.items()}
    training = features.measure(training_cubes.cubes)

    rows, fusions = [], []
    for heights in (False, True):
        expected = sample.perspective.heights(training_cubes.cubes.boxes)
        scales = _z_scores(in_heights(training, expected) if heights else training)
        expected = sample.perspective.heights(held.cubes.boxes)
        values = {clip: in_heights(pixels, expected) if heights else pixels for clip, pixels in in_pixels.items()}
        for name, fusion in _fusions(preset, scales, values).items():
            scorer = Scorer(fusion.weights, scales)
            scores = {clip: scorer.score(clip_values) for clip, clip_values in values.items()}
            rows.append(row("fusion", name + (", in box heights" if heights else ""), scores["held"], scores))
            fusions.append(replace(fusion, perspective=heights))
    winner = first_best([each["mean"] for each in rows], margin)
    rows[winner]["chosen"] = True
    chosen = fusions[winner]
    density = motions[best].settings if Motion.name in chosen.weights else DensityConfig()
    return chosen, density, [*density_rows, *rows]


def _z_scores(training: FeatureValues) -> dict[str, ZScore]:
    columns = {name: values.astype(np.float64) for name, values in training.items()}
    return {name: ZScore(float(column.mean()), float(column.std()) or 1.0) for name, column in columns.items()}


def _fusions(
    preset: FusionConfig, scales: Mapping[str, ZScore], values: Mapping[str, FeatureValues]
) -> dict[str, FusionConfig]:
    """The candidates by name, from simple to complicated."""
    fusions = {"the preset's": preset}
    fusions |= {name: FusionConfig.of(dict.fromkeys(counting, 1.0)) for name, counting in FUSIONS.items()}
    deviations = {
        clip: np.stack([scale.term(clip_values[name], 1.0) for name, scale in scales.items()], axis=1)
        for clip, clip_values in values.items()
    }
    fitted = fitted_weights(deviations["held"], [each for clip, each in deviations.items() if clip != "held"])
    if fitted.any():
        fusions["fitted"] = FusionConfig.of(dict(zip(scales, fitted.tolist(), strict=True)))
    return fusions


def fitted_weights(normal: F64, unusual: list[F64]) -> F64:
    """(features,) weights, not negative and of sum 1, of a logistic regression of cubes as they are against cubes made
    unusual; both (B, features) in deviations. All zero when no feature has a positive weight.

    A feature with a negative weight is left out and the others fitted again. Deviations are cut at ±10: beyond, they
    are told apart anyway, and would rule the fit.
    """
    from sklearn.linear_model import LogisticRegression  # seconds and megabytes that only --select pays

    values = np.clip(np.concatenate([normal, *unusual]), -10, 10)
    truth = np.repeat([False, True], [len(normal), sum(map(len, unusual))])
    kept = np.arange(values.shape[1])
    while len(kept):
        slopes = LogisticRegression(class_weight="balanced").fit(values[:, kept], truth).coef_[0]
        if (slopes >= 0).all():
            weights = np.zeros(values.shape[1])
            weights[kept] = slopes
            return np.asarray(weights / max(weights.sum(), 1e-12), np.float64)
        kept = kept[slopes > 0]
    return np.zeros(values.shape[1])
