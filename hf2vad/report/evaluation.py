"""Summary of an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hf2vad.plurals import count_words
from hf2vad.report.figures import (
    against_speed,
    alerts,
    auroc_rows,
    not_computed,
    other_rows,
    region_rows,
    resampling,
    smoothing,
)
from hf2vad.summary import print_lines, print_whole


def print_evaluation(result: Mapping[str, Any], *, last: str = "") -> None:
    """The figures of an evaluation.json on stdout, and `last` after them."""
    table = Table(title=f"frame AUROC, bundle {result['bundle']}")
    for column in ("score", "smoothed", "95 % interval", "raw"):
        table.add_column(column)
    for row in (*auroc_rows(result), *other_rows(result)):
        table.add_row(row.name, row.smoothed, row.interval, row.raw)
    print_whole(table)
    fused = next(auroc_rows(result))
    lines = [
        f"Frame AUROC {fused.smoothed} ({fused.interval}), not smoothed {fused.raw}; bundle {result['bundle']}",
        against_speed(result),
        alerts(result),
        *(f"{name}: RBDC {rbdc}, TBDC {tbdc}" for name, rbdc, tbdc in region_rows(result)),
        f"{count_words(result['frames'], 'frame')}, {result['anomalous']:,} anomalous; "
        f"{result['dropped']:,} dropped (no score); {count_words(result['videos_unlabelled'], 'video')} unlabelled; "
        f"smoothed: {smoothing(result)}; chosen on labels: {result['chosen_on_labels']}",
        *filter(None, [not_computed(result)]),
        resampling(result),
    ]
    print_lines(lines, last=last)
