"""The record, metrics and log of a run while it goes on."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from hf2vad import logs
from hf2vad.cluster.dispatch import Call, Cluster, Outcome
from hf2vad.cluster.policy import Cause
from hf2vad.errors import Hf2vadError, StorageError
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.counts import RunCounts
from hf2vad.walk.metrics import Metrics
from hf2vad.walk.record import RunRecord, Status
from hf2vad.walk.video import Closing, Opening, Tag, Working
from hf2vad.walk.worker import Opened

METRICS_SECONDS = 2.0
"""Seconds between updates of metrics. Ray exports them every 10 s."""

RECORD_SECONDS = 30.0
"""Seconds between writes of a running run's record."""


class RunMonitor:
    """Follows a run from `begin` to the end of the block, however that ends; a context manager."""

    def __init__(self, record: RunRecord, backlog: Backlog) -> None:
        self.counts = RunCounts()
        """Counts of the run. The monitor itself counts failed shards and finished videos, the walk all else."""
        self._record, self._backlog = record, backlog
        self._cluster: Cluster | None = None
        self._metrics: Metrics | None = None
        self._extra: dict[str, Any] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="monitor", daemon=True)

    def begin(self, cluster: Cluster, extra: dict[str, Any]) -> None:
        """Put the record of a running run; `extra`: more for it. Raises StorageError where nothing can be put."""
        record = self._record
        record.put("running", self.counts, cluster, extra)
        self._cluster, self._extra = cluster, extra
        cluster.on_retry = _log_retry
        self._metrics = Metrics(record.id, record.job, record.started, cluster, self.counts, self._backlog)
        logs.bind(run=record.id, job=record.job)
        logs.event("run begun", out=record.out, workers=cluster.capacity, gpus_per_worker=cluster.gpus)
        self._backlog.start()
        self._thread.start()

    def ended(self, outcome: Outcome, tag: Tag) -> None:
        """A call of the walk came to its end; `tag` says what it was about."""
        if outcome.cause is Cause.DROPPED:
            return
        match tag:
            case Opening():
                self._opened(tag, outcome)
            case Working():
                self._worked(tag, outcome)
            case Closing():
                self._closed(tag, outcome)

    def finish(self, extra: dict[str, Any]) -> None:
        """Put the record of a run that came to its end, and print it."""
        assert self._cluster is not None
        self._stop()
        if (left := self._backlog.remaining()) is not None:
            oldest = None if left.oldest is None else time.strftime("%Y-%m-%dT%HZ", time.gmtime(left.oldest))
            extra = {**extra, "unscored_videos": left.videos, "oldest_unscored": oldest}
        self._end(self._record.finish(self.counts, self._cluster, extra)["status"])

    def __enter__(self) -> RunMonitor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Write the final record, with the error if one ends the run."""
        if self._cluster is None or error is None:
            return
        self._stop()
        status: Status = "failed" if isinstance(error, Exception) else "stopped"
        reason = " ".join(str(error).split()) if isinstance(error, Hf2vadError) else type(error).__name__
        try:
            self._record.put(status, self.counts, self._cluster, {**self._extra, "error": reason})
        except StorageError as lost:
            logs.warn("record not put", reason=str(lost))
        self._end(status, error=reason)

    def _opened(self, tag: Opening, outcome: Outcome) -> None:
        video = tag.video
        self._backlog.begun(video)
        if outcome.failure is not None:
            logs.warn("video cannot be opened", video=video.id, reason=outcome.failure, tries=outcome.tries)
            return
        opened: Opened = outcome.value
        if opened.timeline is None:
            self._backlog.ended(video)
        else:
            frames, shards = opened.timeline.frame_count, len(opened.done)
            logs.event("video opened", video=video.id, frames=frames, shards_found=shards)

    def _worked(self, tag: Working, outcome: Outcome) -> None:
        about = _about(tag)
        if outcome.failure is None:
            seconds, cubes = round(outcome.value["busy_s"], 2), outcome.value["cubes"]
            logs.event("shard done", **about, cubes=cubes, seconds=seconds)
        else:
            self.counts.shards_failed += 1
            logs.warn("shard failed", **about, reason=outcome.failure, tries=outcome.tries)

    def _closed(self, tag: Closing, outcome: Outcome) -> None:
        video = tag.video
        self._backlog.ended(video)
        self.counts.finished += outcome.failure is None
        if reason := outcome.failure or outcome.value.get("failure"):
            logs.warn("video failed", video=video.id, reason=reason)
        else:
            logs.event("video finished", video=video.id, events=outcome.value.get("events"))

    def _end(self, status: str, error: str | None = None) -> None:
        assert self._metrics is not None
        self._metrics.tell(end=status)
        counts = self.counts
        figures = {"shards": counts.shards, "shards_failed": counts.shards_failed, "videos_finished": counts.finished}
        level = logs.ERROR if status == "failed" else logs.INFO
        logs.event("run ended", level=level, status=status, failures=counts.failed, **figures, error=error)

    def _stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        assert self._cluster is not None
        assert self._metrics is not None
        put = time.monotonic()
        while True:
            self._metrics.tell()
            if time.monotonic() - put > RECORD_SECONDS:
                put = time.monotonic()
                try:
                    self._record.put("running", self.counts, self._cluster, self._extra)
                except StorageError as error:  # the next time, or the run's own puts say it
                    logs.warn("record not put", reason=str(error))
            if self._over.wait(METRICS_SECONDS):
                return


def _about(tag: Tag) -> dict[str, Any]:
    """Video and frames that a call of a walk works on."""
    return {"video": tag.video.id, **({"shard": tag.frames} if isinstance(tag, Working) else {})}


def _log_retry(call: Call, reason: str, tries: int) -> None:
    about = _about(call.tag) if isinstance(call.tag, Tag) else {"call": call.function.__name__}
    logs.warn("tried again", **about, reason=reason, tries=tries)
