"""A bundle that has been told which events are normal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf2vad.bundle.bundle import Bundle
from hf2vad.errors import ConfigError
from hf2vad.features.exemplars import ExemplarFeature
from hf2vad.features.feature import CubeArrays, Feature
from hf2vad.features.taught import NEIGHBOURS, TaughtCubes, scaled_vectors
from hf2vad.schema import F32

MOST_OF_EVENT = 128
"""Cubes of one event that are kept, at most, spread evenly over it."""
MOST = 4096
"""Cubes of all events in a bundle, at most: 3 MB, with which each scored cube is compared."""


@dataclass(frozen=True)
class Lesson:
    """One event that somebody has called normal or interesting, and the cubes that made it an event."""

    row: Mapping[str, Any]
    """Entry for the bundle: event, video, frames, verdict, time of the mark."""
    cubes: CubeArrays

    @property
    def normal(self) -> bool:
        """True if the event was called normal, False if interesting."""
        return bool(self.row["verdict"] == "normal")


def comparing(bundle: Bundle) -> list[Feature[Any]]:
    """The features with a weight that compare cubes by vectors.

    Raises ConfigError for a bundle that cannot be taught, because it has none or does not score by surprise.
    """
    fusion = bundle.settings.fusion
    features = [bundle.feature(name) for name in fusion.weights]
    compared = [feature for feature in features if isinstance(feature, ExemplarFeature)]
    if fusion.rule != "surprise" or not compared:
        raise ConfigError(
            f"bundle {bundle.id} cannot be taught: it needs fusion.rule = surprise and features that compare cubes; "
            "train with --preset features or compact"
        )
    return list(compared)


def teach(bundle: Bundle, lessons: Sequence[Lesson], *, forget: Sequence[str] = ()) -> Bundle:
    """`bundle` that excuses what is like the events called normal; nothing else of it changes.

    lessons: an event that the bundle was taught before is taught anew. forget: keys of events that it shall not know
    any more. Raises ConfigError for a bundle that cannot be taught.
    """
    features = comparing(bundle)
    scales = bundle.taught.scales or {feature.name: _scale(bundle, feature) for feature in features}
    earlier = list(bundle.provenance.get("taught", {}).get("events", []))
    new = [lesson for lesson in lessons if len(lesson.cubes)]
    gone = {*forget, *(lesson.row["event"] for lesson in new)}
    kept = [number for number, row in enumerate(earlier) if row["event"] not in gone]
    rows = [*(earlier[number] for number in kept), *({**one.row, "cubes": len(one.cubes)} for one in new)]
    if not rows:
        return replace(bundle, taught=TaughtCubes(), provenance=_provenance(bundle, rows))
    share = max(1, min(MOST_OF_EVENT, MOST // len(rows)))
    parts = [_of_event(bundle.taught, number, share) for number in kept]
    for lesson in new:
        spread = _spread(len(lesson.cubes), share)
        spread = np.resize(spread, max(len(spread), NEIGHBOURS))  # else an event of few cubes is never near
        parts.append((scaled_vectors(features, lesson.cubes.part(spread), scales), lesson.normal))
    counts = [len(next(iter(vectors.values()))) for vectors, _ in parts]
    taught = TaughtCubes(
        vectors={f.name: np.concatenate([vectors[f.name] for vectors, _ in parts]) for f in features},
        scales=scales,
        normal=np.repeat([normal for _, normal in parts], counts),
        event=np.repeat(np.arange(len(parts), dtype=np.int32), counts),
    )
    return replace(bundle, taught=taught, provenance=_provenance(bundle, rows))


def _of_event(taught: TaughtCubes, number: int, most: int) -> tuple[dict[str, F32], bool]:
    """The vectors of an event that was taught before, and whether it was called normal."""
    cubes = np.flatnonzero(taught.event == number)
    cubes = cubes[_spread(len(cubes), most)]
    return {name: rows[cubes] for name, rows in taught.vectors.items()}, bool(taught.normal[cubes].all())


def _spread(count: int, most: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """At most `most` of `count` numbers, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _scale(bundle: Bundle, feature: Feature[Any]) -> float:
    """The distance of nine in ten training cubes to the nearest exemplar, as vectors are apart."""
    if "reach" in feature.arrays:  # the tail's values are in units of exemplars
        return max(1e-6, float(feature.arrays["reach"][0]))
    tail = bundle.settings.calibration.tails[feature.name]
    return max(1e-6, float(np.interp(1.0, tail.surprises, tail.values)))


def _provenance(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    before = bundle.provenance.get("taught", {}).get("bundle", bundle.id)
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {**bundle.provenance, "taught": {"bundle": before, "finished": finished, "events": list(rows)}}
