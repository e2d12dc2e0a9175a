"""Basis of a result: the bundle, the footage it learnt from, when and how much, and how far that supports the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf2vad.evidence.reasons import Knowledge
from hf2vad.features.registry import feature_classes
from hf2vad.features.tail import own_share
from hf2vad.scoring.words import duration_words, one_in, threshold_words
from hf2vad.storage import readable

MOST_CAMERAS = 200
"""Cameras that are listed, those with the fewest training objects."""


def about(
    bundles: str, knowledge: Knowledge | None, provenance: Mapping[str, Any], evaluation: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Rows of name and text in sections; bundles: ids of those that scored."""
    model = _model(knowledge, provenance) if knowledge is not None else []
    sections = [{"title": "Model", "rows": [["Bundle", bundles], *model]}]
    if knowledge is not None:
        sections.append({"title": "What was learnt from", "rows": _learnt(knowledge, provenance)})
    if evaluation is not None:
        sections.append({"title": "Compared with labels", "rows": _evaluation(evaluation)})
    return {"sections": sections, "cameras": _cameras(knowledge, provenance)}


def bars_scale(knowledge: Knowledge | None, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The one scale of all bars of the site. Beyond `supported`, a surprise is extrapolated; 0: it is no surprise."""
    strengths = [abs(strength) for event in events for _, strength, _ in event["bars"]]
    total = None if knowledge is None else knowledge.settings.calibration.total
    supported = 0.0 if total is None else round(total.supported, 3)
    return {"supported": supported, "largest": round(max([1.0, supported, *strengths]), 3)}


def _model(knowledge: Knowledge, provenance: Mapping[str, Any]) -> list[list[str]]:
    settings = knowledge.settings
    words = {name: feature_classes()[name].word for name in settings.fusion.weights}
    by_surprise = settings.fusion.rule == "surprise"
    threshold = settings.calibration.threshold
    rows = [
        ["Learnt", str(provenance.get("finished", "")).replace("T", " ").replace("Z", " UTC")],
        ["Preset", str(provenance.get("job", {}).get("preset", ""))],
        ["Score", "by surprise: how rare each part is" if by_surprise else "Eq. 9: deviations from the mean"],
        ["Parts", ", ".join(f"{word} ×{settings.fusion.weights[name]:g}" for name, word in words.items())],
        ["Events start at", threshold_words(threshold) if by_surprise else f"{threshold:.2f}"],
    ]
    return [row for row in rows if row[1]]


def _learnt(knowledge: Knowledge, provenance: Mapping[str, Any]) -> list[list[str]]:
    calibration, table = knowledge.settings.calibration, provenance.get("table", {})
    rows = [
        ["Footage", duration_words(knowledge.seconds) if knowledge.seconds else ""],
        ["Videos", f"{table['videos']:,}" if table.get("videos") else ""],
        ["Frames", f"{calibration.frames:,}"],
        ["Objects", f"{calibration.cubes:,} (a box in a frame is one)"],
        ["Table", readable(str(table.get("uri", "")))],
    ]
    if calibration.total is not None:
        carries = f"to {one_in(calibration.total.supported)} objects; what is rarer is extrapolated, and not claimed"
        rows.append(["How far it carries", carries])
    return [row for row in rows if row[1]]


def _evaluation(evaluation: Mapping[str, Any]) -> list[list[str]]:
    figures = {"Frame AUROC, micro": "auroc_micro", "Frame AUROC, macro": "auroc_macro"}
    return [[name, f"{evaluation[key]:.4f}"] for name, key in figures.items() if evaluation.get(key) is not None]


def _cameras(knowledge: Knowledge | None, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Name, training objects and share of what is usual that is the camera's own, in percent."""
    rows = [] if knowledge is None else provenance.get("cameras", [])
    listed = sorted(rows, key=lambda row: row["cubes"])[:MOST_CAMERAS]
    shares = [
        [readable(row["camera"]), row["cubes"], round(100 * own_share(row["cubes"]) * bool(row["own"]))]
        for row in listed
    ]
    return {"count": len(rows), "rows": shares}
