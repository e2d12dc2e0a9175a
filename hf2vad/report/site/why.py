"""Reasons of an event without gathered evidence: the contributions to its peak's score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.bundle.settings import BundleSettings
from hf2vad.evidence.objects import score_terms, score_words
from hf2vad.schema import BOX


def peak_terms(
    event: Mapping[str, Any], objects: pa.Table, bundle: BundleSettings, path: str
) -> tuple[dict[str, float], str]:
    """Contribution of each feature to the score of the peak's box (see `score_terms`), and its rarity in words.

    Empty for a peak without a box. The smoothed peak frame may hold several boxes: the event's own is taken. `path`: of
    the video in its archive.
    """
    if event["x1"] is None:
        return {}, ""
    rows = objects.filter(pc.equal(objects["frame"], event["peak_frame"])).to_pylist()
    row = next((row for row in rows if all(row[name] == event[name] for name in BOX)), None)
    if row is None:
        return {}, ""
    terms = {name: round(value, 3) for name, value in score_terms(row, bundle, path).items()}
    return terms, score_words(row, bundle, path)
