"""Why an object is an event, in words: from the parts of its score, all of the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hf2vad.bundle.settings import BundleSettings
from hf2vad.features.feature import CubeArrays, Feature, Statement, Topic
from hf2vad.features.registry import feature_classes
from hf2vad.schema import BOX, F32, FEATURE_COLUMNS
from hf2vad.scoring.scorer import FeatureValues, Scorer, Surprise
from hf2vad.scoring.words import USUAL, rarity_words, score_rarity

if TYPE_CHECKING:
    from hf2vad.bundle.bundle import Bundle

Rows = Sequence[Mapping[str, Any]]

RARE = 2.0
"""Surprise from which a part is named: one normal object in a hundred."""
RARE_DEVIATIONS = 3.0
"""Deviations from the mean, by Eq. 9, from which a part counts as rare by itself. Up to 1 is usual."""
USUAL_WORDS: Mapping[Topic, str] = {"looks": "looks usual", "motion": "moves as usual", "size": "is of usual size"}
"""Words for a topic without an unusual part, the most telling topic first. Other topics are not mentioned."""
MOVES: tuple[Topic, ...] = ("motion", "speed")


@dataclass(frozen=True)
class Knowledge:
    """Input of the reasons: a bundle's settings, and those of its arrays that are loaded."""

    settings: BundleSettings
    seconds: float = 0.0
    """Length of the footage that was learnt from; 0: unknown."""
    features: Mapping[str, Feature[Any]] = field(default_factory=dict)
    """Fitted features with a weight, by name; empty: statements are made by values alone."""

    @classmethod
    def of(cls, bundle: Bundle) -> Knowledge:
        """All that a bundle knows."""
        features = {name: bundle.feature(name) for name in bundle.settings.fusion.weights}
        return cls(bundle.settings, learnt_seconds(bundle.provenance), features)


@dataclass(frozen=True)
class Part:
    """Value of one feature for an object, and its rarity."""

    name: str
    term: float
    """Contribution to the score."""
    strength: float
    """Its surprise; by Eq. 9, how many standard deviations it lies above the mean of normal footage."""
    text: str
    """The strength in words."""


@dataclass(frozen=True)
class Reasons:
    """Why an object is an event. All of it is of one frame."""

    kind: str = ""
    """Name of the event's kind, from its largest part."""
    sentence: str = ""
    """Sentence on what is unusual about the object and what is not. Empty without a part."""
    rarity: str = ""
    """How rare its score is, and how far the training footage supports saying so."""
    score: float | None = None
    """The score of that moment, not smoothed."""
    parts: Sequence[Part] = ()
    """One for each feature with a weight, the largest first."""

    def row(self) -> dict[str, Any]:
        """As event.json has it. `parts`: terms of the score; `bars`: name, strength and words of each."""
        return {
            "kind": self.kind,
            "sentence": self.sentence,
            "rarity": self.rarity,
            "score": None if self.score is None else round(self.score, 4),
            "parts": {part.name: round(part.term, 4) for part in self.parts},
            "bars": [[part.name, round(part.strength, 3), part.text] for part in self.parts],
        }


def learnt_seconds(provenance: Mapping[str, Any]) -> float:
    """Length of the footage that a bundle was learnt from, in seconds; 0 where its provenance does not say."""
    return float(provenance.get("table", {}).get("seconds", 0.0))


def reasons(
    rows: Rows, shown: Mapping[str, Any], knowledge: Knowledge, path: str, cube: CubeArrays | None = None
) -> Reasons:
    """Why the object `shown` is an event.

    rows: the rows of `objects` of its frame, which count together where `fusion.at = frame`. path: of the video in its
    archive, which decides the calibration. cube: its CubeArrays, cut again; None where it is not at hand.
    """
    scorer = Scorer.of(knowledge.settings, path)
    counted = rows if scorer.at_frame else [shown]
    values = scorer.in_units(_values(counted, scorer), _boxes(counted))
    parts = _parts(scorer, values)
    score = float(scorer.frame_scores(values, np.zeros(len(counted), np.int64), 1)[0])
    if not parts:
        return Reasons(score=score)
    statements = _statements(parts, scorer, shown, knowledge, path, cube)
    sentence, lead = _sentence(parts, statements, by_surprise=scorer.total is not None)
    rarity = ""
    if scorer.total is not None:
        rate = knowledge.settings.calibration.cubes / knowledge.seconds if knowledge.seconds else 0.0
        rarity = score_rarity(score, scorer.total.supported, rate)
    return Reasons(statements[lead].kind, sentence, rarity, score, parts)


def _values(rows: Rows, scorer: Scorer) -> FeatureValues:
    return {name: np.array([row[FEATURE_COLUMNS[name]] for row in rows], np.float32) for name in scorer.weights}


def _boxes(rows: Rows) -> F32:
    return np.array([[row[name] for name in BOX] for row in rows], np.float32).reshape(-1, 4)


def _parts(scorer: Scorer, values: FeatureValues) -> list[Part]:
    """The parts of a score, the largest first; of several objects the largest of each."""
    parts = []
    for name, terms in scorer.terms(values).items():
        number, scale = int(terms.argmax()), scorer.scales[name]
        term = float(terms[number])
        if isinstance(scale, Surprise):
            strength = float(scale.rarity.surprise(values[name][number : number + 1])[0])
            text = rarity_words(strength, scale.rarity.supported)
        else:
            strength = term / scorer.weights[name]
            text = f"{term:+.1f} σ".replace("-", "−")
        parts.append(Part(name, term, strength, text))
    return sorted(parts, key=lambda part: -part.term)


def _statements(
    parts: Sequence[Part],
    scorer: Scorer,
    shown: Mapping[str, Any],
    knowledge: Knowledge,
    path: str,
    cube: CubeArrays | None,
) -> dict[str, Statement]:
    camera = knowledge.settings.camera_of(path)
    values = scorer.in_units(_values([shown], scorer), _boxes([shown]))
    statements = {}
    for part in parts:
        cls, scale, feature = feature_classes()[part.name], scorer.scales[part.name], knowledge.features.get(part.name)
        ready = feature is not None and feature.fitted and cube is not None
        asked = feature.of_camera(camera) if ready and feature is not None else cls(cls.Settings())
        limit = None
        if isinstance(scale, Surprise):
            limit = knowledge.settings.calibration.tails[part.name].values[-1]
        statements[part.name] = asked.statement(float(values[part.name][0]), limit, cube if ready else None)
    return statements


def _sentence(parts: Sequence[Part], statements: Mapping[str, Statement], *, by_surprise: bool) -> tuple[str, str]:
    """The sentence, and the name of the part that it begins with."""
    rare, usual = (RARE, USUAL) if by_surprise else (RARE_DEVIATIONS, 1.0)
    lead = _lead(parts, statements, rare)
    ordered = sorted(parts, key=lambda part: (part.name != lead, -part.strength))
    named: dict[Topic, str] = {}
    for part in ordered:
        topic = _topic(part.name)
        generic = topic == "motion" and "speed" in named and statements[part.name].kind != "direction"
        if part.strength >= rare and topic not in named and not generic and len(named) < 2:
            named[topic] = statements[part.name].predicate
    if not named:
        first, *second = (feature_classes()[part.name].word for part in parts[:2])
        together = f"{first} and {second[0]} together are" if second else f"{first} is"
        return f"Nothing about it stands out alone; {together} a little unusual.", lead
    calm = next((words for topic, words in USUAL_WORDS.items() if _is_usual(topic, parts, usual)), "")
    said = _joined(list(named.values()))
    return f"{said[0].upper()}{said[1:]}{'; ' + calm if calm else ''}.", lead


def _lead(parts: Sequence[Part], statements: Mapping[str, Statement], rare: float) -> str:
    """The part that names the event: the largest. One about motion as a whole is named by its direction where that is
    unusual, and else yields to a speed that is rare by itself."""
    largest = parts[0]
    if _topic(largest.name) != "motion":
        return largest.name
    directed = [part.name for part in parts if statements[part.name].kind == "direction" and part.strength >= rare]
    if directed:
        return directed[0]
    fast = [part for part in parts if _topic(part.name) == "speed" and part.strength >= rare]
    return fast[0].name if fast else largest.name


def _is_usual(topic: Topic, parts: Sequence[Part], usual: float) -> bool:
    """True if a topic has parts and none of them is unusual. Speed belongs to motion, too."""
    topics = MOVES if topic == "motion" else (topic,)
    strengths = [part.strength for part in parts if _topic(part.name) in topics]
    return bool(strengths) and max(strengths) <= usual


def _topic(name: str) -> Topic:
    return feature_classes()[name].topic


def _joined(predicates: Sequence[str]) -> str:
    """Two predicates as one; a verb that both begin with is said once."""
    if len(predicates) == 1:
        return predicates[0]
    first, second = predicates
    verb, rest = second.split(" ", 1)
    return f"{first}, {rest}" if first.startswith(f"{verb} ") and verb == "moves" else f"{first} and {second}"
