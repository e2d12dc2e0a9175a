"""Thresholds for a wanted rate of alarms, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from hf2vad.evaluation.alarms import Level
from hf2vad.plurals import count_words
from hf2vad.scoring.alarms import Alarms
from hf2vad.scoring.words import threshold_words
from hf2vad.summary import print_lines, print_whole


def print_levels(alarms: Alarms, levels: Mapping[str, Level], per_hour: float, *, last: str) -> None:
    """Print the threshold of each camera, the rate of alarms that it gives, and what it rests on; then `last`."""
    wanted = f"{count_words(per_hour, 'alarm')} per camera-hour"
    table = Table(title=f"{wanted}, bundle {alarms.bundle}")
    for column in ("camera", "hours", "threshold", "95 % interval", "how", "alarms in this footage", "per hour, 95 %"):
        table.add_column(column)
    for name, level in levels.items():
        interval = "" if level.interval is None else "{:.3f} to {:.3f}".format(*level.interval)
        rate = "{:.3g} to {:.3g}".format(*level.rate)
        row = (f"{level.hours:.2f}", f"{level.threshold:.3f}", interval, level.method, f"{level.events:,}", rate)
        table.add_row(escape(name) if name else "all", *row)
    print_whole(table, width=120)
    overall = levels[""]
    lines = [f"{wanted}: threshold {overall.threshold:.3f}, from {overall.hours:.2f} hours"]
    if alarms.figures.get("rule") == "surprise":
        lines.append(f"all: an alarm begins at {threshold_words(alarms.threshold)}")
    unsure = [name for name, level in levels.items() if name and not level.supported]
    if unsure:
        lines.append(f"threshold of all, for lack of footage of their own: {count_words(len(unsure), 'camera')}")
    print_lines(lines + [f"{name or 'all'}: {level.note}" for name, level in levels.items() if level.note], last=last)
