"""Figures in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hf2vad.commandline import EXIT_OK
from hf2vad.evaluation.protocol import EvaluateJob, evaluate_job
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
from hf2vad.report.markdown import evaluation_markdown
from hf2vad.storage import join, put_bytes, readable


def evaluate_and_print(job: EvaluateJob) -> int:
    """Evaluate, put evaluation.json, evaluation.md and frame_scores.parquet, print; returns the exit code."""
    evaluate_and_report(job)
    print(f"written to {join(job.out, 'evaluation.json')}; as a page: {join(job.out, 'evaluation.md')}")
    return EXIT_OK


def evaluate_and_report(job: EvaluateJob) -> dict[str, Any]:
    """`evaluate_job`, the page beside its files, and its figures on stdout; returns the content of evaluation.json."""
    result = evaluate_job(job)
    put_bytes(join(job.out, "evaluation.md"), readable(evaluation_markdown(result)).encode())
    print_evaluation(result)
    return result


def print_evaluation(result: Mapping[str, Any]) -> None:
    """The figures of an evaluation on stdout."""
    table = Table(title=f"frame AUROC, bundle {result['bundle']}")
    for column in ("score", "smoothed", "95 % interval", "raw"):
        table.add_column(column)
    for row in (*auroc_rows(result), *other_rows(result)):
        table.add_row(row.name, row.smoothed, row.interval, row.raw)
    console = Console(width=100)
    console.print(table)
    for name, rbdc, tbdc in region_rows(result):
        console.print(f"{name}: RBDC {rbdc}, TBDC {tbdc}")
    console.print(
        f"{result['frames']:,} frames, {result['anomalous']:,} anomalous; {result['dropped']:,} dropped (no score); "
        f"{result['videos_unlabelled']} videos unlabelled; smoothed: {smoothing(result)}; "
        f"chosen on labels: {result['chosen_on_labels']}"
    )
    if text := not_computed(result):
        console.print(text, markup=False)
    console.print(resampling(result))
    console.print(against_speed(result))
    console.print(alerts(result))
