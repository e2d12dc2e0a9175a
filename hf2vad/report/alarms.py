"""The thresholds of jobs/alarms.py in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hf2vad.commandline import EXIT_OK
from hf2vad.evaluation.alarms import AlarmJob, alarm_levels
from hf2vad.storage import absolute


def set_alarms(job: AlarmJob) -> int:
    """Find the thresholds, put the file and print what they rest on; returns the exit code."""
    alarms, levels = alarm_levels(job)
    alarms.put(absolute(job.out))
    table = Table(title=f"{job.per_hour:g} alarms per camera-hour, bundle {alarms.bundle}")
    for column in ("camera", "hours", "threshold", "95 % interval", "how", "alarms in this footage", "per hour, 95 %"):
        table.add_column(column)
    for name, found in levels.items():
        interval = "" if found.interval is None else "{:.3f} to {:.3f}".format(*found.interval)
        rate = "{:.3g} to {:.3g}".format(*found.rate)
        row = (f"{found.hours:.2f}", f"{found.threshold:.3f}", interval, found.method, f"{found.events:,}", rate)
        table.add_row(escape(name) if name else "all", *row)
    console = Console(width=120)
    console.print(table)
    for name, found in levels.items():
        if found.note:
            console.print(f"{name or 'all'}: {found.note}", markup=False)
    unsure = [name for name, found in levels.items() if name and not found.supported]
    if unsure:
        console.print(f"{len(unsure)} cameras without support of their own take the threshold of all", markup=False)
    print(f"written to {job.out}; give it to scoring as --alarms {job.out}")
    return EXIT_OK
