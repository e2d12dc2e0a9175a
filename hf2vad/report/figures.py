"""The figures of an evaluation as rows and sentences, for every place that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hf2vad.evaluation.frames import PARTS
from hf2vad.plurals import count_words
from hf2vad.scoring.words import threshold_words


@dataclass(frozen=True)
class Row:
    """One figure, smoothed and raw, each with its interval."""

    name: str
    smoothed: str
    raw: str
    interval: str
    raw_interval: str


def auroc_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """Frame AUROC of the fused score and of each part."""
    bounds = result["intervals"]
    for name, key in (
        ("fused, micro", "auroc_micro"),
        (f"fused, macro over {result['macro_videos']} of {result['videos']} videos", "auroc_macro"),
    ):
        yield _row(name, result[key], result[key + "_raw"], bounds[key], bounds[key + "_raw"])
    for part in PARTS:
        if part in result:
            found, around = result[part], bounds[part]
            name = part.replace("_", " ") + ", micro"
            yield _row(name, found["micro"], found["micro_raw"], around["micro"], around["micro_raw"])


def other_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """Figures that are no accuracy of the model: the padded macro AUROC, and what was chosen on the labels."""
    padded = "fused, padded macro (random scores: about 0.69 on Ped2)"
    yield _row(padded, result["auroc_macro_padded"], result["auroc_macro_padded_raw"], None, None)
    if "oracle_fusion" in result:
        found = result["oracle_fusion"]
        name = f"oracle_fusion (flow {found['flow']:g}, frame {found['frame']:g}), micro"
        yield _row(name, found["auroc_micro"], found["auroc_micro_raw"], None, None)


def region_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, RBDC and TBDC of the fused score and of each part; nothing without tracks."""
    if "regions" in result:
        regions = result["regions"]
        yield "fused", figure(regions["rbdc"]), figure(regions["tbdc"])
        for part in PARTS:
            if part in regions:
                yield part.replace("_", " "), figure(regions[part]["rbdc"]), figure(regions[part]["tbdc"])


def smoothing(result: Mapping[str, Any]) -> str:
    """The filter in words."""
    protocol = result["protocol"]
    name = protocol["smoothing"].replace("_", " ")
    if name == "none":
        return "no smoothing"
    sigma = f", sigma {protocol['sigma']:.3g}" if protocol["sigma"] is not None else ""
    if isinstance(window := protocol["window"], list):
        return f"{name} of {window[0]} to {window[-1]} frames, by the rate of the footage"
    return f"{name} of {count_words(window, 'frame')}{sigma}"


def counted(result: Mapping[str, Any]) -> str:
    """Sentence on how many frames count, and why others do not."""
    others = result["dropped"] - result["dropped_first"]
    return (
        f"{count_words(result['frames'], 'labelled frame')} counted, {result['anomalous']:,} of them anomalous; "
        f"{result['dropped']:,} were dropped because they have no score "
        f"({result['dropped_first']:,} among the first four of a video, {others:,} others). "
        f"{count_words(result['videos'], 'video')}; "
        f"not labelled, and left out: {count_words(result['videos_unlabelled'], 'scored video')}."
    )


def alerts(result: Mapping[str, Any]) -> str:
    """Alarms that the events of the score tables amount to."""
    found = result["alerts"]
    if not found["anomalies"] and not found["alarms"]:
        return "Events: no anomaly is labelled, and no alarm was given."
    delay = found["delay_s_median"]
    late = f", {delay:.1f} s late in the median ({found['delay_s_longest']:.1f} s at most)" if delay is not None else ""
    rate = found["false_alarms_per_hour"]
    hours = f", {rate:.2f} an hour in {found['hours']:.2f} hours" if rate is not None else ""
    return (
        f"Events: detected {found['told']:,} of {count_words(found['anomalies'], 'anomaly')} "
        f"(recall {figure(found['recall'])}){late}; "
        f"{count_words(found['alarms'], 'alarm')}, {found['false_alarms']:,} of them false{hours} "
        f"(precision {figure(found['precision'])}).{_begins(found)}"
    )


def _begins(found: Mapping[str, Any]) -> str:
    """Rarity of the score at which an alarm begins. Empty for scores that are not by surprise."""
    if not found.get("surprises"):
        return ""
    return f" An alarm begins at {' or '.join(threshold_words(score) for score in found['surprises'])}."


def not_computed(result: Mapping[str, Any]) -> str:
    """Features without a figure, and how to get one. Empty if every feature has one."""
    names = [part.removesuffix("_only") for part in result.get("not_computed", ())]
    if not names:
        return ""
    return (
        f"Not computed: {', '.join(names)}. What has no weight in the score is left out; scoring with `--all-parts` "
        "computes every feature that the bundle has."
    )


def against_speed(result: Mapping[str, Any]) -> str:
    """Sentence that compares the model with the speed of the fastest object."""
    if "beats_speed" not in result:
        return "The plain speed yardstick cannot be compared with: an AUROC or the column is missing."
    found = result["beats_speed"]
    verdict = {
        "yes": "The model beats the plain speed yardstick",
        "no": "The model does not beat the plain speed yardstick",
        "not distinguishable": "The model cannot be told from the plain speed yardstick",
    }[found["answer"]]
    return f"{verdict}: micro AUROC differs by {found['difference']:+.4f} ({bounds(found['interval'], '+.4f')})."


def resampling(result: Mapping[str, Any]) -> str:
    """Sentence on how the intervals were resampled."""
    found = result["intervals"]
    if not found["resamples"]:
        return "No intervals: they need at least two videos, and --protocol.resamples above 0."
    return (
        f"Intervals: 95 %, percentiles of {found['resamples']:,} draws of {result['videos']:,} videos with "
        f"replacement, seed {found['seed']}; draws in which the figure is undefined were skipped "
        f"({found['skipped_micro']:,} for micro, {found['skipped_macro']:,} for macro)."
    )


def _row(name: str, smoothed: Any, raw: Any, interval: Any, raw_interval: Any) -> Row:
    shown = [bounds(value) if value is not None else "" for value in (interval, raw_interval)]
    return Row(name, figure(smoothed), figure(raw), *shown)


def figure(value: float | None) -> str:
    """An AUROC, or that there is none."""
    return "undefined" if value is None else f"{value:.4f}"


def bounds(interval: list[float] | None, form: str = ".4f") -> str:
    """An interval in words."""
    return "no interval" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
