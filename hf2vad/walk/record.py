"""The record of a run: what it did, kept from its start on."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from hf2vad.archive.passed import passed_lines
from hf2vad.cluster.dispatch import Cluster
from hf2vad.plurals import count_words
from hf2vad.progress import duration
from hf2vad.settings import to_dict
from hf2vad.storage import put_bytes, put_json
from hf2vad.summary import print_lines, shows_everything
from hf2vad.tables.layout import record_uri, trace_uri
from hf2vad.versions import versions
from hf2vad.walk.counts import RunCounts

Status = Literal["running", "finished", "stopped", "failed"]
"""State of a run. `stopped`: stopped or interrupted by the user. `failed`: ended by an error. A killed run stays
`running`, and its `alive` grows old."""

SHOWN = 1
"""Failures that a summary names without --verbose."""


@dataclass
class RunRecord:
    """Record of a job's run: written to `<out>/runs/<id>.json` from its start on, printed at its end."""

    job: str
    settings: Any
    out: str
    started: float = field(default_factory=time.time)
    id: str = field(init=False)
    _clock: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.id = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(self.started)) + secrets.token_hex(3)

    def finish(self, counts: RunCounts, cluster: Cluster, extra: dict[str, Any]) -> dict[str, Any]:
        """Put the record of a run that came to its end, print the summary on stdout, and return the record."""
        record = self._figures("stopped" if counts.stopped else "finished", counts, cluster, extra)
        if counts.profile.kept:
            record["trace"] = trace_uri(self.out, self.id)
            put_bytes(record["trace"], counts.profile.trace())
        put_json(record_uri(self.out, self.id), record)
        print_summary(record, counts, self.out)
        return record

    def put(self, status: Status, counts: RunCounts, cluster: Cluster, extra: dict[str, Any]) -> None:
        """Put the record as it is now. Raises StorageError."""
        put_json(record_uri(self.out, self.id), self._figures(status, counts, cluster, extra))

    def _figures(self, status: Status, counts: RunCounts, cluster: Cluster, extra: dict[str, Any]) -> dict[str, Any]:
        wall = time.monotonic() - self._clock
        figures = dict(counts.figures)
        return {
            "run": self.id,
            "job": self.job,
            "status": status,
            "started": _utc(self.started),
            "alive": _utc(time.time()),
            "process": f"{socket.gethostname()}:{os.getpid()}",
            "seconds": round(wall, 2),
            "videos": counts.videos,
            "videos_skipped": counts.skipped,
            "videos_finished": counts.finished,
            "failures": counts.failed,
            **(_left(counts) if counts.stopped else {}),
            "shards": counts.shards,
            "shards_found": counts.shards_found,
            "shards_failed": counts.shards_failed,
            "retried": cluster.retried,
            "workers": cluster.capacity,
            "gpus_per_worker": cluster.gpus,
            **{name: int(value) for name, value in figures.items() if name not in ("video_s", "busy_s")},
            "fps": round(figures.get("frames", 0) / wall, 2),
            "video_hours_per_day": round(figures.get("video_s", 0) / wall * 24, 1),
            "worker_busy_s": round(figures.get("busy_s", 0), 2),
            **extra,
            "stages": counts.profile.rows(),
            "settings": to_dict(self.settings),
            "versions": versions(),
        }


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _left(counts: RunCounts) -> dict[str, Any]:
    """Work that a stopped run has left."""
    return {
        "stopped_early": True,
        "videos_begun_and_left": counts.left,
        "shards_left_in_them": counts.shards_left,
        "archive_looked_through": counts.listed,
    }


def print_summary(record: dict[str, Any], counts: RunCounts, out: str) -> None:
    """Print the figures of a run in six lines, or with --verbose all figures of its record and its first failures."""
    if shows_everything():
        _print_figures(record)
    if counts.profile.kept:
        Console(file=sys.stdout, width=100).print(stage_table(record["stages"]))
    print_lines(list(_summary(record, counts)), last=f"Record: {record_uri(out, record['run'])}")


def _summary(record: dict[str, Any], counts: RunCounts) -> Iterator[str]:
    """The lines of a summary, those that matter most first."""
    end = "stopped early" if counts.stopped else "finished"
    failed = f", {count_words(counts.failed, 'failure')}" if counts.failed else ", no failures"
    before = f", {counts.skipped:,} done before" if counts.skipped else ""
    yield (
        f"{record['job']} {end} in {duration(record['seconds'])}: {count_words(counts.finished, 'video')} of "
        f"{counts.videos:,}{before}{failed}"
    )
    if "events" in counts.figures:
        reused = counts.figures.get("events_anew") or counts.figures.get("narrowed")
        anew = ", found anew in the scores that were there" if reused else ""
        yield f"{count_words(counts.figures['events'], 'event')}{anew}"
    if frames := int(counts.figures.get("frames", 0)):
        cubes = int(counts.figures.get("cubes", 0))
        counted = f"{count_words(frames, 'frame')}, {count_words(cubes, 'cube')}"
        yield f"{counted}, {record['fps']:,.0f} frames/s on {count_words(record['workers'], 'worker')}"
    shown = counts.failures if shows_everything() else counts.failures[:SHOWN]
    for failure in shown:
        yield f"failed: {failure['video']!r}: {failure['reason']}"
    if counts.failed > len(shown):
        yield f"… and {counts.failed - len(shown):,} more under failures/"
    yield from passed_lines(record.get("passed_over", []))


def _print_figures(record: dict[str, Any]) -> None:
    table = Table(title=f"{record['job']}: {record['run']}", show_header=False)
    for name, value in record.items():
        if name not in ("run", "job", "stages", "settings", "versions", "passed_over"):
            table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    Console(file=sys.stdout, width=100).print(table)


def stage_table(stages: Sequence[dict[str, Any]]) -> Table:
    """Time spent by the workers: seconds of each thread by stage."""
    whole = {row["thread"]: 0.0 for row in stages}
    for row in stages:
        whole[row["thread"]] += row["seconds"]
    table = Table("thread", "stage", "seconds", "of the thread", "spans", title="where the workers' time went")
    for row in stages:
        share = f"{100 * row['seconds'] / max(whole[row['thread']], 1e-9):.1f} %"
        table.add_row(row["thread"], row["stage"], f"{row['seconds']:,.2f}", share, f"{row['spans']:,}")
    return table
