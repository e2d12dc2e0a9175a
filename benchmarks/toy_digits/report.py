"""Figures of the toy experiment in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_toy(result: Mapping[str, Any]) -> None:
    """One line a variant on stdout: mean over seeds, and the lowest and highest in brackets."""
    data, settings = result["data"], result["settings"]
    table = Table(title=f"digit 2 against the others, {data['source']}, {len(result['seeds'])} seeds")
    for column in ("", "memories", "skips", "AUROC %", "error on 2", "on others", "slots kept"):
        table.add_column(column)
    for row in result["variants"]:
        kept = ", ".join(f"{level} {_mean(counts):.0f}" for level, counts in row["slots_kept"].items())
        table.add_row(
            f"({row['variant']})",
            ", ".join(row["memories"]),
            ", ".join(row["skips"]) or "none",
            _percent(row["auroc"]),
            f"{_mean(row['error_normal']):.4f}",
            f"{_mean(row['error_other']):.4f}",
            kept,
        )
    table.add_row("", "no network: nearest training 2", "", _percent(result["nearest_training_picture"]["auroc"]))
    console = Console(width=140)
    console.print(table)
    console.print(
        f"{data['train']:,} training 2s; tested on {data['test_normal']:,} other 2s and {data['test_other']:,} other "
        f"digits; {settings['steps']} steps ({result['epochs']} epochs), flow root {settings['flow_root']}, "
        f"{settings['slots']} slots; error is mean squared error per pixel; {result['seconds']:.0f} s, "
        f"of a processor {result['cpu_seconds']:.0f} s"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percent(values: Sequence[float]) -> str:
    return f"{100 * _mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"
