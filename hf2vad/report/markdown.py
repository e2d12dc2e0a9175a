"""An evaluation as a page to read: evaluation.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hf2vad.report.figures import (
    against_speed,
    alerts,
    auroc_rows,
    counted,
    figure,
    not_computed,
    region_rows,
    resampling,
    smoothing,
)

SPECIAL = re.compile(r"([\\`*{}\[\]<>|#~&]|(?<!\w)_|_(?!\w))")
"""Characters of a name that Markdown would take for its own."""


def evaluation_markdown(result: Mapping[str, Any]) -> str:
    """The content of evaluation.json in plain language."""
    return "\n\n".join(_sections(result)) + "\n"


def _sections(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Evaluation of bundle {_plain(result['bundle'])}"
    yield counted(result)
    yield against_speed(result)
    yield f"Chosen on these labels: {result['chosen_on_labels']}."
    yield "## Frame AUROC"
    yield (
        "The chance that an anomalous frame scores above a normal one: 0.5 is guessing. Micro: all frames together. "
        f"Macro: mean over the {result['macro_videos']} of {result['videos']} videos that have frames of both kinds. "
        f"Smoothed: {smoothing(result)}."
    )
    yield _table(
        ("score", "smoothed", "95 % interval", "raw", "95 % interval"),
        ((row.name, row.smoothed, row.interval, row.raw, row.raw_interval) for row in auroc_rows(result)),
    )
    if text := not_computed(result):
        yield text
    yield resampling(result)
    yield (
        f"Padded macro: {figure(result['auroc_macro_padded'])} smoothed, {figure(result['auroc_macro_padded_raw'])} "
        "raw. Some papers pad each video with one normal and one anomalous frame, so that it is defined everywhere. "
        "Random scores reach about 0.69 on Ped2 that way: compare it only with figures made the same way."
    )
    yield "## Events"
    yield alerts(result)
    yield (
        "An anomaly is an unbroken run of anomalous labels, an alarm an event of the score tables; they meet when they "
        "share a frame. Late: from the first frame of the anomaly to that of the alarm. Where events start is no part "
        "of AUROC: `hf2vad alarms` sets it by how many alarms an hour are wanted."
    )
    if "regions" in result:
        yield from _regions(result)
    if "oracle_fusion" in result:
        yield from _oracle(result)
    yield "## Videos"
    yield _table(
        ("video", "frames", "anomalous", "AUROC"),
        (
            (_plain(video), f"{found['frames']:,}", f"{found['anomalous']:,}", figure(result["per_video"][video]))
            for video, found in result["per_video_frames"].items()
        ),
    )
    yield "The scores frame by frame are in `frame_scores.parquet`."


def _regions(result: Mapping[str, Any]) -> Iterator[str]:
    found = result["regions"]
    yield "## Regions and tracks"
    yield _table(("score", "RBDC", "TBDC"), region_rows(result))
    yield (
        f"{found['detections']:,} scored boxes against {found['regions']:,} anomalous regions of {found['tracks']:,} "
        f"tracks in {found['frames']:,} frames; {found['regions_unscored']:,} regions lie on frames without a score "
        "and cannot be found. RBDC: area under the share of regions found against false positives per frame, up to 1. "
        "TBDC: the same for tracks, found when 10 % of their regions are. A box finds what it overlaps with an IoU of "
        "at least 0.1. Scores of boxes are not smoothed."
    )


def _oracle(result: Mapping[str, Any]) -> Iterator[str]:
    found = result["oracle_fusion"]
    yield "## oracle_fusion: chosen on the test labels"
    yield (
        f"Of {found['tried']} pairs of fusion weights, flow {found['flow']:g} and frame {found['frame']:g} (over "
        "errors divided by their deviation over the scored boxes) reach the highest micro AUROC on these labels: "
        f"{figure(found['auroc_micro'])} smoothed, {figure(found['auroc_micro_raw'])} raw. This is an oracle, a bound "
        "on what fusion could do here, and not an accuracy."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(name: str) -> str:
    """A name as text, whatever is in it."""
    return SPECIAL.sub(r"\\\1", " ".join(name.split()))
