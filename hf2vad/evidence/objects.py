"""The scored boxes of a video around its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.bundle.settings import BundleSettings
from hf2vad.features.registry import feature_classes
from hf2vad.schema import BOX, F32, FEATURE_COLUMNS, OBJECTS
from hf2vad.scoring.scorer import FeatureValues, Scorer
from hf2vad.scoring.words import feature_words, in_words
from hf2vad.storage import open_parquet

Range = tuple[int, int]

BATCH = 65_536
"""Rows of the table that are looked at together."""


@dataclass(frozen=True)
class Objects:
    """Rows of the table `objects`, in the order of their frames."""

    frame: npt.NDArray[np.int32]
    boxes: F32
    """(N, 4): x1, y1, x2, y2 in source pixels."""
    table: pa.Table

    @classmethod
    def read(cls, uri: str, ranges: Sequence[Range]) -> Objects:
        """Objects in the frames of `ranges` (ends exclusive). Holds at most BATCH other rows at a time."""
        starts = np.array(sorted(start for start, _ in ranges), np.int64)
        stops = np.maximum.accumulate(np.array([stop for _, stop in sorted(ranges)], np.int64))
        kept = [OBJECTS.empty_table()]
        with open_parquet(uri) as file:
            for batch in file.iter_batches(BATCH):
                frame = batch["frame"].to_numpy()
                place = np.searchsorted(starts, frame, side="right") - 1
                wanted = (place >= 0) & (frame < stops[place])
                kept.append(pa.Table.from_batches([batch]).filter(pa.array(wanted)).replace_schema_metadata(None))
        table = pa.concat_tables(kept, promote_options="default").combine_chunks()
        boxes = np.stack([table[name].to_numpy() for name in BOX], axis=1)
        return cls(table["frame"].to_numpy(), boxes, table)

    def of(self, start: int, stop: int) -> slice:
        """The rows of frames `start` … `stop`, the end exclusive."""
        first, last = np.searchsorted(self.frame, [start, stop])
        return slice(int(first), int(last))

    def best(self, start: int, stop: int) -> Mapping[str, Any] | None:
        """The highest scoring row of those frames, the first of equals; none without any."""
        rows = self.of(start, stop)
        score = self.table["score"].to_numpy()[rows]
        if not len(score):
            return None
        row: Mapping[str, Any] = self.table.slice(rows.start + int(score.argmax()), 1).to_pylist()[0]
        return row


def shown_object(objects: Objects, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object that an event is shown by: the highest scoring one of its peak frame, or, where that frame has none
    (smoothing may put the peak between two), the highest scoring one of its frames; none without any."""
    peak = event["peak_frame"]
    return objects.best(peak, peak + 1) or objects.best(event["start_frame"], event["end_frame"] + 1)


def score_terms(found: Mapping[str, Any], bundle: BundleSettings, path: str) -> dict[str, float]:
    """Contribution of each weighted feature to the score of a row of `objects`: weighted z-scores, or weighted surprise
    above the silent part.

    `path`: of the video in its archive, which decides the calibration.
    """
    scorer = Scorer.of(bundle, path)
    box: F32 = np.array([[found[name] for name in BOX]], np.float32)
    return {name: float(term[0]) for name, term in scorer.terms(scorer.in_units(_values(found, scorer), box)).items()}


def score_words(found: Mapping[str, Any], bundle: BundleSettings, path: str) -> str:
    """Rarity of each feature of a row of `objects`, in words: "motion: rarer than 1 in 8,000; shape: usual".

    Empty for a score that is not by surprise. `path`: of the video in its archive.
    """
    scorer = Scorer.of(bundle, path)
    return in_words(feature_words(scorer, _values(found, scorer)))


def _values(found: Mapping[str, Any], scorer: Scorer) -> FeatureValues:
    return {name: np.array([found[FEATURE_COLUMNS[name]]], np.float32) for name in scorer.weights}


def kind_of(terms: Mapping[str, float]) -> str:
    """Name of an event's kind: the word of the feature with the largest contribution. Empty if there is none."""
    return feature_classes()[max(terms, key=lambda name: terms[name])].word if terms else ""
