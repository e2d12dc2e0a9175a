"""Figures in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hf2vad.commandline import EXIT_OK
from hf2vad.evaluation.protocol import EvaluateJob, evaluate_job
from hf2vad.storage import join


def evaluate_and_print(job: EvaluateJob) -> int:
    """Evaluate, put evaluation.json, and print its figures; returns the exit code."""
    print_evaluation(evaluate_job(job))
    print(f"written to {join(job.out, 'evaluation.json')}")
    return EXIT_OK


def print_evaluation(result: Mapping[str, Any]) -> None:
    """The figures of an evaluation on stdout."""
    table = Table(title=f"frame AUROC, bundle {result['bundle']}")
    for column in ("score", f"smoothed ({result['smoothing']})", "raw"):
        table.add_column(column)
    table.add_row("fused, micro", _figure(result["auroc_micro"]), _figure(result["auroc_micro_raw"]))
    name = f"fused, macro over {result['macro_videos']} of {result['videos']} videos"
    table.add_row(name, _figure(result["auroc_macro"]), _figure(result["auroc_macro_raw"]))
    for part in ("flow_only", "frame_only", "speed_yardstick"):
        table.add_row(part.replace("_", " "), _figure(result[part]["micro"]), _figure(result[part]["micro_raw"]))
    console = Console(width=100)
    console.print(table)
    console.print(
        f"{result['frames']:,} frames, {result['anomalous']:,} anomalous; {result['dropped']:,} dropped (no score); "
        f"{result['videos_unlabelled']} videos unlabelled"
    )


def _figure(value: Any) -> str:
    return "undefined" if value is None else f"{value:.4f}"
