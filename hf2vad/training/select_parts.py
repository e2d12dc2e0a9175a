"""Which parts a score is made of, chosen by pseudo-anomalies (see select.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from hf2vad.engines.eager import Engine
from hf2vad.features.settings import DensityConfig, FusionConfig
from hf2vad.schema import F64
from hf2vad.scoring.fuse import PARTS, Parts
from hf2vad.scoring.measure import Measure
from hf2vad.training.data import StcTable
from hf2vad.training.normal import MotionSample, fit_density, fit_perspective
from hf2vad.training.pseudo import KINDS, HeldOut, cubes_of, figure_row, first_best, pseudo_anomalies, separation

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
    "all": PARTS,
}
"""Equal weights of z-scores, from simple to complicated; the preset's fusion stands before them, a fitted one after."""


def choose_parts(
    engine: Engine,
    fit: StcTable,
    held: HeldOut,
    *,
    preset: FusionConfig,
    smoothing: int,
    cubes: int,
    margin: float,
    seed: int,
) -> tuple[FusionConfig, DensityConfig, list[dict[str, Any]]]:
    """Weights of the parts, the density they need, and a row of figures a candidate.

    `engine` was trained on `fit` alone; z-scores are over about `cubes` of its cubes.
    """
    known = cubes_of(fit, cubes)
    perspective = fit_perspective(known.boxes)
    changed = {kind: pseudo_anomalies(held, kind, seed=seed) for kind in KINDS}
    sample = MotionSample(known.flow, known.boxes)
    densities = [fit_density(sample, config, perspective, seed=seed) for config in DENSITIES]
    density_rows = []
    for density in densities:
        normal = density.score(held.flow, held.boxes).astype(np.float64)
        unusual = {kind: density.score(flow, held.boxes).astype(np.float64) for kind, (_, flow) in changed.items()}
        found = {kind: separation(held, normal, unusual[kind], smoothing=smoothing) for kind in KINDS}
        name = f"{density.config.kind}, by {density.config.height} height"
        density_rows.append(figure_row("density", name, found))
    best = first_best([row["mean"] for row in density_rows], margin)
    density_rows[best]["chosen"] = True

    measure = Measure(engine, densities[best])
    in_pixels = {"known": measure(known.appearance, known.flow, known.boxes)}
    in_pixels["held"] = measure(held.appearance, held.flow, held.boxes)
    in_pixels |= {kind: measure(*changed[kind], held.boxes) for kind in KINDS}
    rows, fusions = [], []
    for perspective_too in (False, True):
        scaled = Measure(engine, perspective=perspective if perspective_too else None)
        parts = {n: scaled.scaled(p, known.boxes if n == "known" else held.boxes) for n, p in in_pixels.items()}
        columns = _deviations(parts)
        for name, fusion in _fusions(preset, columns).items():
            weights = np.array([getattr(fusion, part) for part in PARTS])
            found = {
                kind: separation(held, columns["held"] @ weights, columns[kind] @ weights, smoothing=smoothing)
                for kind in KINDS
            }
            rows.append(figure_row("fusion", name + (", in box heights" if perspective_too else ""), found))
            fusions.append(replace(fusion, perspective=perspective_too))
    winner = first_best([row["mean"] for row in rows], margin)
    rows[winner]["chosen"] = True
    chosen = fusions[winner]
    return chosen, densities[best].config if chosen.motion else DensityConfig(), [*density_rows, *rows]


def _deviations(parts: Mapping[str, Parts]) -> dict[str, F64]:
    """(B, parts) columns in deviations from the mean of the known cubes."""
    stacked = {
        name: np.stack([getattr(found, part).astype(np.float64) for part in PARTS], axis=1)
        for name, found in parts.items()
    }
    mean, std = stacked["known"].mean(0), stacked["known"].std(0)
    return {name: (values - mean) / np.where(std > 0, std, 1.0) for name, values in stacked.items() if name != "known"}


def _fusions(preset: FusionConfig, columns: Mapping[str, F64]) -> dict[str, FusionConfig]:
    fusions = {"the preset's": preset}
    for name, counting in FUSIONS.items():
        fusions[name] = _weights([float(part in counting) for part in PARTS])
    fitted = fitted_weights(columns["held"], [columns[kind] for kind in KINDS])
    if fitted.any():
        fusions["fitted"] = _weights(fitted.tolist())
    return fusions


def _weights(values: Sequence[float]) -> FusionConfig:
    flow, frame, speed, motion = values
    return FusionConfig(flow=flow, frame=frame, speed=speed, motion=motion)


def fitted_weights(normal: F64, unusual: list[F64]) -> F64:
    """(parts,) weights, not negative and of sum 1, of a logistic regression of cubes as they are against cubes made
    unusual; both (B, parts) in deviations. All zero when no part has a positive weight.

    A part with a negative weight is left out and the others fitted again. Deviations are cut at ±10: beyond, they are
    told apart anyway, and would rule the fit.
    """
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
