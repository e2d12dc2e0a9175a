"""The record of a run: what it did, kept from its start on."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from hf2vad.archive.passed import passed_lines
from hf2vad.cluster.dispatch import Cluster
from hf2vad.settings import to_dict
from hf2vad.storage import put_bytes, put_json
from hf2vad.tables.layout import record_uri, trace_uri
from hf2vad.versions import versions
from hf2vad.walk.counts import RunCounts

Status = Literal["running", "finished", "stopped", "failed"]
"""State of a run. `stopped`: stopped or interrupted by the user. `failed`: ended by an error. A killed run stays
`running`, and its `alive` grows old."""


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
        print_summary(record, counts)
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


def print_summary(record: dict[str, Any], counts: RunCounts) -> None:
    """The figures of a run, and its first failures."""
    table = Table(title=f"{record['job']}: {record['run']}", show_header=False)
    for name, value in record.items():
        if name not in ("run", "job", "stages", "settings", "versions", "passed_over"):
            table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    console = Console(file=sys.stdout, width=100)
    console.print(table)
    if counts.profile.kept:
        console.print(stage_table(record["stages"]))
    for line in passed_lines(record.get("passed_over", [])):
        print(line)
    for failure in counts.failures:
        print(f"failed: {failure['video']!r}: {failure['reason']}")
    if counts.failed > len(counts.failures):
        print(f"... and {counts.failed - len(counts.failures)} more under failures/")


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
