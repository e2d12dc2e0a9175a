"""What a training saw, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hf2vad.bundle.settings import load_bundle_settings, load_provenance

WIDTH = 110


def print_training(out: str, seconds: float) -> None:
    """The epochs of the training that put the bundle `out`, and its calibration, on stdout."""
    bundle = load_bundle_settings(out)
    epochs = Table(title=f"train: bundle {bundle.id} in {out}")
    for column in ("stage", "epoch", "loss", "cubes/s", "s", "slots kept"):
        epochs.add_column(column)
    for record in load_provenance(out)["history"]:
        kept = " ".join(f"{level} {count:.0f}" for level, count in record["slots_kept"].items())
        figures = (f"{record['loss']:.5f}", f"{record['samples_per_s']:.0f}", f"{record['seconds']:.0f}")
        epochs.add_row(record["stage"], str(record["epoch"]), *figures, kept)
    console = Console(width=WIDTH)
    console.print(epochs)
    known = bundle.calibration
    cameras = f" and {len(bundle.cameras)} cameras of their own" if bundle.cameras else ""
    features = ", ".join(f"{name} {found.mean:.4g} ± {found.std:.4g}" for name, found in known.moments.items())
    console.print(
        f"{known.cubes:,} cubes, {known.frames:,} frames{cameras}, {seconds:.0f} s; {features}; "
        f"event threshold {known.threshold:.3f}"
    )


def print_selection(figures: Sequence[dict[str, Any]]) -> None:
    """What --select tried, and how well each told pseudo-anomalies from held-out normal clips, on stdout."""
    table = Table(title="selection: AUROC on pseudo-anomalies of held-out clips; no label was read")
    kinds = list(dict.fromkeys(key for row in figures for key in row if key not in _WORDS))
    for column in ("step", "candidate", *kinds, "mean", "chosen"):
        table.add_column(column)
    for row in figures:
        shown = [f"{row[kind]:.3f}" if kind in row else "" for kind in kinds]
        table.add_row(row["step"], row["candidate"], *shown, f"{row['mean']:.4f}", "yes" if row["chosen"] else "")
    Console(width=WIDTH).print(table)


_WORDS = ("step", "candidate", "mean", "chosen")
