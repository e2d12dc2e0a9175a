"""Training summary for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from hf2vad.bundle.calibration import Calibration
from hf2vad.bundle.settings import load_bundle_settings, load_provenance
from hf2vad.features.tail import SHRINK, own_share
from hf2vad.plurals import count_words
from hf2vad.summary import print_lines, print_whole

if TYPE_CHECKING:
    from hf2vad.training.data import StcTable

WIDTH = 110
LEANING = 0.25
"""Share of all cameras' distribution in a camera's own from which it is said."""
ENOUGH = 3 * SHRINK
"""Cubes of a camera that leans so little."""
SHOWN = 5
"""Cameras that are named, at most."""


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
    if epochs.row_count:
        print_whole(epochs, WIDTH)
    known = bundle.calibration
    learnt = f"{count_words(known.cubes, 'cube')}, {count_words(known.frames, 'frame')}"
    learnt += f", {count_words(len(bundle.cameras), 'camera')} learnt apart" if bundle.cameras else ""
    counted = {name: known.moments[name] for name in bundle.fusion.weights}
    features = ", ".join(f"{name} {found.mean:.4g} ± {found.std:.4g}" for name, found in counted.items())
    lines = [f"Bundle {bundle.id}: {learnt}, {seconds:.0f} s; {features}; event threshold {known.threshold:.3f}"]
    rows = load_provenance(out).get("cameras", [])
    lines += support_lines(known, bundle.cameras, [row["camera"] for row in rows if not row["own"]])
    print_lines(lines, last=f"Bundle in {out}; hf2vad score takes it as --bundle")


def print_sample(stc: str, table: StcTable, most: int) -> None:
    """Print the share of the table at `stc` that training uses, if it is not all."""
    if len(table) < (cubes := table.cubes_there):
        print(
            f"{stc}: {len(table):,} of {count_words(cubes, 'cube')} are trained on, at most {most:,} of each camera",
            flush=True,
        )


def support_lines(overall: Calibration, cameras: Mapping[str, Calibration], pooled: Sequence[str] = ()) -> list[str]:
    """Lines on how far the training footage supports a score by surprise, and which cameras fall back on all cameras.
    Empty if neither applies.

    pooled: cameras that are not learnt apart.
    """
    if overall.total is None:
        return []
    lines = [f"{count_words(overall.cubes, 'cube')}: surprise above {overall.total.supported:.1f} is extrapolated"]
    leaning = {name: own for name, own in sorted(cameras.items()) if 1 - own_share(own.cubes) > LEANING}
    for name, own in list(leaning.items())[:SHOWN]:
        others = f"{1 - own_share(own.cubes):.0%} that of all cameras"
        lines.append(f"camera {name}: {count_words(own.cubes, 'cube')}; what is usual there is {others}")
    if len(leaning) > SHOWN:
        lines.append(f"... and {count_words(len(leaning) - SHOWN, 'more camera')} with fewer than {ENOUGH:,} cubes")
    if pooled:
        names = ", ".join(list(pooled)[:SHOWN]) + (" …" if len(pooled) > SHOWN else "")
        lines.append(
            f"scored by what is usual for all: {count_words(len(pooled), 'camera')} with the fewest cubes: {names}"
        )
    return lines


def print_selection(figures: Sequence[dict[str, Any]]) -> None:
    """Print the candidates of --select and how well each separated pseudo-anomalies from held-out normal clips."""
    table = Table(title="selection: AUROC on pseudo-anomalies of held-out clips; no label was read")
    kinds = list(dict.fromkeys(key for row in figures for key in row if key not in _WORDS))
    for column in ("step", "candidate", *kinds, "mean", "chosen"):
        table.add_column(column)
    for row in figures:
        shown = [f"{row[kind]:.3f}" if kind in row else "" for kind in kinds]
        table.add_row(row["step"], row["candidate"], *shown, f"{row['mean']:.4f}", "yes" if row["chosen"] else "")
    print_whole(table, WIDTH)
    chosen = [row for row in figures if row["chosen"]]
    tried = ", ".join(f"{row['step']} {row['candidate']} (AUROC {row['mean']:.4f})" for row in chosen)
    print(f"selection on pseudo-anomalies, no label was read: {tried}")


_WORDS = ("step", "candidate", "mean", "chosen")
