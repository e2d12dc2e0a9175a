"""Surprise in words. The review site, alarms and evaluation use no other wording."""

from __future__ import annotations

import math

from hf2vad.plurals import count_words

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
    return one_in(surprise) if surprise <= supported else f"beyond {one_in(supported)}"


def score_rarity(score: float, supported: float, objects_per_second: float) -> str:
    """A score by surprise as a sentence without its full stop.

    supported: the score up to which training footage can tell. objects_per_second: boxes that were learnt from for each
    second of that footage; 0: unknown.
    """
    if score <= USUAL:
        return "As usual as nine in ten objects"
    if score > supported:
        return f"Rarer than {one_in(supported)} objects, as far as the footage learnt from can tell"
    said = f"Rarer than {one_in(score)} objects"
    if not objects_per_second:
        return said
    seconds = 10.0**score / objects_per_second
    often = f"about once in {duration_words(seconds)}" if seconds >= 1 else "more than once in a second"
    return f"{said}, {often} of what was learnt"


def duration_words(seconds: float) -> str:
    """A length of time in its largest sensible unit: "40 minutes", "2 hours"."""
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * length:
            return count_words(round(seconds / length), unit)
    return count_words(round(seconds), "second")


def threshold_words(score: float) -> str:
    """Score by surprise in words: "a score of 3.91 (1 in 8,000 normal objects)"."""
    return f"a score of {score:.2f} ({one_in(score)} normal objects)"
