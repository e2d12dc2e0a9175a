"""Surprise in words. The review site, alarms and evaluation use no other wording."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hf2vad.features.registry import feature_classes
from hf2vad.scoring.scorer import FeatureValues, Scorer, Surprise

USUAL = 1.0
"""A value is usual up to this surprise: nine of ten normal objects have a smaller one."""


def one_in(surprise: float) -> str:
    """Number of normal objects per one as unusual: "1 in 8,000" for 3.9, one significant digit, rounded down."""
    count = 10.0 ** max(0.0, surprise)
    unit = 10 ** math.floor(math.log10(count) + 1e-9)
    return f"1 in {int(count / unit + 1e-9) * unit:,}"


def rarity_words(surprise: float, supported: float) -> str:
    """A surprise in words; supported: that up to which training footage can tell, above it nothing rarer is claimed."""
    if surprise <= USUAL:
        return "usual"
    return f"rarer than {one_in(min(surprise, supported))}"


def threshold_words(score: float) -> str:
    """Score by surprise in words: "a score of 3.91 (1 in 8,000 normal objects)"."""
    return f"a score of {score:.2f} ({one_in(score)} normal objects)"


def feature_words(scorer: Scorer, values: FeatureValues) -> Mapping[str, str]:
    """Rarity of one object's value for each weighted feature, rarest first: "rarer than 1 in 8,000".

    values: (1,) of each feature. Empty for a score that is not by surprise.
    """
    found = []
    for name in scorer.weights:
        scale = scorer.scales[name]
        if isinstance(scale, Surprise):
            surprise = float(scale.rarity.surprise(values[name])[0])
            found.append((surprise, feature_classes()[name].word, rarity_words(surprise, scale.rarity.supported)))
    return {word: said for _, word, said in sorted(found, key=lambda row: -row[0])}


def in_words(found: Mapping[str, str]) -> str:
    """One line: "motion: rarer than 1 in 8,000; shape: usual"."""
    return "; ".join(f"{word}: {said}" for word, said in found.items())
