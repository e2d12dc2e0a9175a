"""Selection of the features of a score by surprise, by pseudo-anomalies (see select.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.pseudo import HeldOut, figure_row, pseudo_anomalies, separation
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import SmoothingRule


def choose_parts(
    features: FeatureSet,
    scorer: Scorer,
    held: HeldOut,
    *,
    preset: FusionConfig,
    smoothing: SmoothingRule,
    margin: float,
    seed: int,
) -> tuple[FusionConfig, list[dict[str, Any]]]:
    """The preset's weights without those of features that do not help, and a row of figures a candidate.

    One after the other, the feature without which the mean is highest is dropped, as long as the mean falls by no more
    than `margin` with it. scorer: that of the preset, with the tails of footage which is not of `held`.
    """
    clips = {"held": held.cubes} | {str(kind): pseudo_anomalies(held, kind, seed=seed) for kind in held.kinds}
    values = {clip: features.measure(cubes) for clip, cubes in clips.items()}

    def row(candidate: str, names: Sequence[str]) -> dict[str, Any]:
        part = replace(scorer, weights={name: scorer.weights[name] for name in names})
        scores = {clip: part.sums(found) for clip, found in values.items()}
        figures = {kind: separation(held, scores["held"], scores[kind], smoothing=smoothing) for kind in held.kinds}
        return figure_row("fusion", candidate, figures)

    kept = list(preset.weights)
    best = row("the preset's", kept)
    rows = [best]
    while len(kept) > 1:
        tried = {name: row(_without(preset, kept, name), [other for other in kept if other != name]) for name in kept}
        rows += tried.values()
        least = max(tried, key=lambda name: tried[name]["mean"])
        if tried[least]["mean"] < best["mean"] - margin:
            break
        kept.remove(least)
        best = tried[least]
    best["chosen"] = True
    dropped: dict[str, Any] = {name: 0.0 for name in preset.weights if name not in kept}
    return replace(preset, **dropped), rows


def _without(preset: FusionConfig, kept: Sequence[str], name: str) -> str:
    dropped = [other for other in preset.weights if other not in kept or other == name]
    return f"without {', '.join(dropped)}"
