"""What runs leave beside their tables: failure rows, and a record of each run."""

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

from hf2vad.archive.catalog import Video
from hf2vad.archive.passed import passed_lines
from hf2vad.cluster.dispatch import Cluster
from hf2vad.settings import to_dict
from hf2vad.storage import delete, exists, join, key_path, put_bytes, put_json, read_json
from hf2vad.versions import versions
from hf2vad.walk.counts import Tally
from hf2vad.walk.walk import Failure


def failure_uri(prefix: str, video: Video) -> str:
    """Where the failure row of `video` is, under an output prefix."""
    return join(prefix, "failures", key_path(video.id) + ".json")


def known_failure(prefix: str, video: Video) -> str | None:
    """The reason in the failure row of `video`, if it has one."""
    uri = failure_uri(prefix, video)
    return str(read_json(uri)["reason"]) if exists(uri) else None


def parked(prefix: str, video: Video, tries: int) -> str | None:
    """The reason in the failure row of `video` as it is now, if `tries` runs have failed on it."""
    uri = failure_uri(prefix, video)
    row = read_json(uri) if exists(uri) else {}
    return str(row["reason"]) if row.get("fingerprint") == video.fingerprint and row["runs"] >= tries else None


def settle_failures(prefix: str, video: Video, failures: Sequence[Failure]) -> str | None:
    """Put the one failure row of `video`, or remove it when nothing failed; returns its reason.

    The row says why, which frames are concerned (none named: all), and in how many runs it was the video that failed:
    one whose storage or node failed is not counted.
    """
    uri = failure_uri(prefix, video)
    if not failures:
        if exists(uri):
            delete(uri)
        return None
    reasons = list(dict.fromkeys(failure.reason for failure in failures))
    row = {
        "video": video.id,
        "fingerprint": video.fingerprint,
        "reason": "; ".join(reasons),
        "frames": sorted(frames for failure in failures for frames in failure.ranges),
        "runs": any(failure.cause.blames_video for failure in failures)
        + (int(read_json(uri).get("runs", 0)) if exists(uri) else 0),
    }
    put_json(uri, row)
    return str(row["reason"])


Status = Literal["running", "finished", "stopped", "failed"]
"""Of a run. `stopped`: told to stop, or interrupted. `failed`: ended by an error. A run that is killed stays `running`,
and its `alive` grows old."""


@dataclass
class RunRecord:
    """What one run of a job does: kept as `<out>/runs/<id>.json` from its start on, printed at its end."""

    job: str
    settings: Any
    out: str
    started: float = field(default_factory=time.time)
    id: str = field(init=False)
    _clock: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.id = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime(self.started)) + secrets.token_hex(3)

    def finish(self, tally: Tally, dispatcher: Cluster, extra: dict[str, Any]) -> dict[str, Any]:
        """Put the record of a run that came to its end, print the summary on stdout, and return the record."""
        record = self._figures("stopped" if tally.stopped else "finished", tally, dispatcher, extra)
        if tally.profile.kept:
            record["trace"] = join(self.out, "runs", f"{self.id}.trace.json.gz")
            put_bytes(record["trace"], tally.profile.trace())
        put_json(join(self.out, "runs", f"{self.id}.json"), record)
        print_summary(record, tally)
        return record

    def put(self, status: Status, tally: Tally, dispatcher: Cluster, extra: dict[str, Any]) -> None:
        """Put the record as it is now. Raises StorageError."""
        put_json(join(self.out, "runs", f"{self.id}.json"), self._figures(status, tally, dispatcher, extra))

    def _figures(self, status: Status, tally: Tally, dispatcher: Cluster, extra: dict[str, Any]) -> dict[str, Any]:
        wall = time.monotonic() - self._clock
        counts = dict(tally.counts)
        return {
            "run": self.id,
            "job": self.job,
            "status": status,
            "started": _utc(self.started),
            "alive": _utc(time.time()),
            "process": f"{socket.gethostname()}:{os.getpid()}",
            "seconds": round(wall, 2),
            "videos": tally.videos,
            "videos_skipped": tally.skipped,
            "videos_finished": tally.finished,
            "failures": tally.failed,
            **(_left(tally) if tally.stopped else {}),
            "shards": tally.shards,
            "shards_found": tally.shards_found,
            "shards_failed": tally.shards_failed,
            "retried": dispatcher.retried,
            "workers": dispatcher.capacity,
            "gpus_per_worker": dispatcher.gpus,
            **{name: int(value) for name, value in counts.items() if name not in ("video_s", "busy_s")},
            "fps": round(counts.get("frames", 0) / wall, 2),
            "video_hours_per_day": round(counts.get("video_s", 0) / wall * 24, 1),
            "worker_busy_s": round(counts.get("busy_s", 0), 2),
            **extra,
            "stages": tally.profile.rows(),
            "settings": to_dict(self.settings),
            "versions": versions(),
        }


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _left(tally: Tally) -> dict[str, Any]:
    """What a run that was told to stop has left."""
    return {
        "stopped_early": True,
        "videos_begun_and_left": tally.left,
        "shards_left_in_them": tally.shards_left,
        "archive_looked_through": tally.listed,
    }


def print_summary(record: dict[str, Any], tally: Tally) -> None:
    """The figures of a run, and its first failures."""
    table = Table(title=f"{record['job']}: {record['run']}", show_header=False)
    for name, value in record.items():
        if name not in ("run", "job", "stages", "settings", "versions", "passed_over"):
            table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    console = Console(file=sys.stdout, width=100)
    console.print(table)
    if tally.profile.kept:
        console.print(stage_table(record["stages"]))
    for line in passed_lines(record.get("passed_over", [])):
        print(line)
    for failure in tally.failures:
        print(f"failed: {failure['video']!r}: {failure['reason']}")
    if tally.failed > len(tally.failures):
        print(f"... and {tally.failed - len(tally.failures)} more under failures/")


def stage_table(stages: Sequence[dict[str, Any]]) -> Table:
    """Where the workers' time went: each thread's seconds by stage."""
    whole = {row["thread"]: 0.0 for row in stages}
    for row in stages:
        whole[row["thread"]] += row["seconds"]
    table = Table("thread", "stage", "seconds", "of the thread", "spans", title="where the workers' time went")
    for row in stages:
        share = f"{100 * row['seconds'] / max(whole[row['thread']], 1e-9):.1f} %"
        table.add_row(row["thread"], row["stage"], f"{row['seconds']:,.2f}", share, f"{row['spans']:,}")
    return table
