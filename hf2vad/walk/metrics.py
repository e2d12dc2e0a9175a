"""A run's figures as Ray metrics, which each node's agent hands to Prometheus.

They are counted in one place, the driver, from what the calls return: a call that ran twice counts once, and at its end
a run's counters are what its record says. Ray puts `ray_` before each name, and `_total` after a counter's; every
series has the labels `run` and `job_name` (Prometheus keeps `job` for itself), and Ray's own.
"""

from __future__ import annotations

import time

from hf2vad import logs
from hf2vad.cluster.dispatch import Cluster, Figure
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.counts import RunCounts

FIGURES: dict[str, Figure] = {
    "hf2vad_frames": Figure("counter", "Frames of shards that were done"),
    "hf2vad_cubes": Figure("counter", "Cubes of shards that were done"),
    "hf2vad_video_seconds": Figure("counter", "Seconds of video in shards that were done"),
    "hf2vad_video_bytes": Figure("counter", "Bytes of the videos that were opened"),
    "hf2vad_shards": Figure("counter", "Shards: done, failed, or found done by an earlier run", ("outcome",)),
    "hf2vad_videos": Figure("counter", "Videos: listed, skipped (done before), finished, failed", ("outcome",)),
    "hf2vad_retries": Figure("counter", "Calls that were started again after a worker died or storage failed"),
    "hf2vad_busy_seconds": Figure("counter", "Seconds that workers spent on shards"),
    "hf2vad_stage_seconds": Figure("counter", "The same by the workers' threads and stages", ("thread", "stage")),
    "hf2vad_workers": Figure("gauge", "Calls that the cluster carries at once"),
    "hf2vad_calls_running": Figure("gauge", "Calls that workers are at"),
    "hf2vad_calls_waiting": Figure("gauge", "Calls that wait for a worker"),
    "hf2vad_video_hours_per_day": Figure("gauge", "Hours of video done in a day, by the pace of the whole run"),
    "hf2vad_unscored_videos": Figure("gauge", "Videos that the archive held at the run's start and no run was at yet"),
    "hf2vad_oldest_unscored_time_seconds": Figure("gauge", "Unix time of the oldest of them; now, where there is none"),
    "hf2vad_progress_time_seconds": Figure("gauge", "Unix time at which a call last came to its end"),
    "hf2vad_alive_time_seconds": Figure("gauge", "Unix time at which the driver last said that it lives"),
    "hf2vad_start_time_seconds": Figure("gauge", "Unix time at which the run began"),
    "hf2vad_end_time_seconds": Figure("gauge", "Unix time at which the run ended, and how", ("status",)),
}


class Metrics:
    """The metrics of one run, on the connected cluster."""

    def __init__(
        self, run: str, job: str, started: float, cluster: Cluster, counts: RunCounts, backlog: Backlog
    ) -> None:
        """`started`: Unix time."""
        self._own = {"run": run, "job_name": job}
        self._cluster, self._counts, self._backlog = cluster, counts, backlog
        self._started = started
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}
        self._done: tuple[int, ...] = ()
        self._progress = self._started

    def tell(self, end: str | None = None) -> None:
        """Bring the metrics up to date; `end`: the status that the run ended with. Never raises: a run that cannot be
        watched is still a run."""
        try:
            self._count()
            self._set()
            if end is not None:
                self._gauge("hf2vad_end_time_seconds", time.time(), status=end)
        except Exception as error:
            logs.warn("metrics not told", error=f"{type(error).__name__}: {error}")

    def _count(self) -> None:
        counts = self._counts
        figures = dict(counts.figures)
        self._counter("hf2vad_frames", figures.get("frames", 0))
        self._counter("hf2vad_cubes", figures.get("cubes", 0))
        self._counter("hf2vad_video_seconds", figures.get("video_s", 0))
        self._counter("hf2vad_video_bytes", figures.get("bytes", 0))
        self._counter("hf2vad_busy_seconds", figures.get("busy_s", 0))
        self._counter("hf2vad_retries", self._cluster.retried)
        shards = {"done": counts.shards, "failed": counts.shards_failed, "found": counts.shards_found}
        videos = {"listed": counts.videos, "skipped": counts.skipped}
        videos |= {"finished": counts.finished, "failed": counts.failed}
        for outcome, count in shards.items():
            self._counter("hf2vad_shards", count, outcome=outcome)
        for outcome, count in videos.items():
            self._counter("hf2vad_videos", count, outcome=outcome)
        for (thread, stage), (seconds, _) in list(counts.profile.stages.items()):
            self._counter("hf2vad_stage_seconds", seconds, thread=thread, stage=stage)

    def _set(self) -> None:
        counts, cluster, now = self._counts, self._cluster, time.time()
        shards = (counts.shards, counts.shards_failed, counts.shards_found)
        done = (*shards, counts.videos, counts.skipped, counts.finished)
        if done != self._done:
            self._done, self._progress = done, now
        self._gauge("hf2vad_workers", cluster.capacity)
        self._gauge("hf2vad_calls_running", min(cluster.running, cluster.capacity))
        self._gauge("hf2vad_calls_waiting", max(0, cluster.running - cluster.capacity))
        hours_per_day = counts.figures.get("video_s", 0) / max(now - self._started, 1e-9) * 24
        self._gauge("hf2vad_video_hours_per_day", hours_per_day)
        if (left := self._backlog.remaining()) is not None:
            self._gauge("hf2vad_unscored_videos", left.videos)
            self._gauge("hf2vad_oldest_unscored_time_seconds", now if left.oldest is None else left.oldest)
        self._gauge("hf2vad_progress_time_seconds", self._progress)
        self._gauge("hf2vad_alive_time_seconds", now)
        self._gauge("hf2vad_start_time_seconds", self._started)

    def _counter(self, name: str, total: float, **labels: str) -> None:
        key = (name, tuple(labels.values()))
        if (more := total - self._counted.get(key, 0)) > 0:
            self._cluster.export(name, FIGURES[name], more, self._own | labels)
            self._counted[key] = total

    def _gauge(self, name: str, value: float, **labels: str) -> None:
        self._cluster.export(name, FIGURES[name], value, self._own | labels)
