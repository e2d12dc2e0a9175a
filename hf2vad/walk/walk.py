"""The walk over an archive: open each video, work on its shards, close it. Runs in the driver.

It streams the catalogue, passes over videos that earlier runs marked as finished, and holds only those that are open;
opening, working and closing are calls on the cluster (walk/worker.py), in which a task says what is particular to it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hf2vad.archive.catalog import Video
from hf2vad.cluster.dispatch import DROP_SECONDS, Call, Cluster, Outcome
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.stop import Stop
from hf2vad.progress import ProgressBar
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline
from hf2vad.walk.breaker import Breaker
from hf2vad.walk.counts import SHOWN_FAILURES, RunCounts
from hf2vad.walk.failures import Failure, failure_reason
from hf2vad.walk.limits import Plan, WalkLimits
from hf2vad.walk.markers import Marks
from hf2vad.walk.monitor import RunMonitor
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.task import WalkTask
from hf2vad.walk.video import LOST_SHARDS, Closing, Opening, OpenVideo, Tag, Working
from hf2vad.walk.worker import Opened, close_video, open_video, run_shard


@dataclass(frozen=True)
class WorkerCalls:
    """The functions that a walk has its workers call; each takes the task first."""

    open: Callable[[Any, Video], Opened] = open_video
    work: Callable[[Any, Shard], dict[str, Any]] = run_shard
    close: Callable[[Any, Video, Timeline | None, Sequence[Range], Sequence[Failure]], dict[str, Any]] = close_video


class Walk:
    """One walk of `task`; `run` makes it."""

    def __init__(
        self,
        cluster: Cluster,
        task: WalkTask,
        plan: Plan,
        *,
        limits: WalkLimits | None = None,
        breaker: BreakerConfig | None = None,
        stop: Stop | None = None,
        monitor: RunMonitor | None = None,
        calls: WorkerCalls | None = None,
    ) -> None:
        """`calls`: what workers call in place of walk/worker.py, to measure the walk without its work."""
        self._cluster, self._task, self._plan = cluster, task, plan
        self._limits = limits or WalkLimits()
        self._breaker = Breaker(breaker or BreakerConfig())
        self._stop = stop or Stop()
        self._monitor = monitor
        self._counts = RunCounts() if monitor is None else monitor.counts
        self._calls = calls or WorkerCalls()
        self._index = self._limits.index or Marks(task.layout.marks).read()
        self._stopping = False
        self._held: list[Call] = []
        """Ends of videos that failed by dead workers or storage: not recorded before something else has worked, or
        everything else is done. When the breaker ends the run they never are."""
        self._begun = 0
        self._unfinished: dict[str, OpenVideo | None] = {}
        """Videos that were begun, by id; none while they are being opened."""
        self._open: deque[OpenVideo] = deque()

    def run(self, videos: Iterator[Video], label: str) -> RunCounts:
        """Walk over `videos`; returns what was done. Frames are the unit of the progress bar, `label` its name.

        Raises BreakerError when nearly everything fails, and what ends the run (cluster/policy.py).
        """
        with ProgressBar(label, unit="frame") as bar:
            self._bar = bar
            self._walk(videos)
        return self._counts

    def _walk(self, videos: Iterator[Video]) -> None:
        cluster = self._cluster
        while True:
            self._look_at_stop()
            while not self._stopping and cluster.running < cluster.in_flight:
                call = self._next_shard() or self._next_video(videos)
                if call is None:
                    break
                cluster.submit(call)
                self._look_at_stop()
            if not cluster.running:
                if not self._held:
                    break
                if not self._counts.skipped:
                    self._breaker.end()
                self._let_go()
            if self._stop.overdue:
                self._drop()
                break
            outcome = cluster.poll()
            if outcome is not None:
                self._over(outcome)
        if self._stopping:
            self._count_what_is_left(videos)

    def _count_what_is_left(self, videos: Iterator[Video]) -> None:
        counts, begun = self._counts, list(self._unfinished.values())
        counts.left = len(begun)
        counts.shards_left = sum(video.left + video.running for video in begun if video is not None)
        if not counts.left and not counts.listed:
            self._next_video(videos)  # says so when there is none
        counts.stopped = counts.left > 0 or not counts.listed

    def _look_at_stop(self) -> None:
        if self._stopping or self._stop.reason is None:
            return
        self._stopping = True
        self._cluster.take_back(lambda call: not isinstance(call.tag, Closing))
        for video in self._open:
            self._leave(video)
        self._open.clear()

    def _drop(self) -> None:
        """Take back whatever runs, and count what comes back soon."""
        cluster, until = self._cluster, time.monotonic() + DROP_SECONDS
        cluster.take_back(begun=True)
        while cluster.running and (left := until - time.monotonic()) > 0:
            if (outcome := cluster.poll(left)) is not None:
                self._over(outcome)

    def _next_shard(self) -> Call | None:
        while self._open:
            video = self._open[0]
            shard = self._next_undone(video)
            if shard is None:
                self._open.popleft()
                video.begun = True
                if not video.running:
                    self._close(video)
                continue
            frames = (shard.start, shard.stop)
            if video.hopeless:
                reason = f"not tried after {LOST_SHARDS} others that killed their workers"
                video.failures.append(Failure(reason, [frames], Cause.WORKER))
                self._bar.advance(shard.stop - shard.start)
                continue
            video.running += 1
            return Call(self._calls.work, (self._task, shard), Working(video, frames))
        return None

    def _next_undone(self, video: OpenVideo) -> Shard | None:
        """The next shard that has no result yet."""
        for shard in video.shards:
            video.plan.append((shard.start, shard.stop))
            if (shard.start, shard.stop) not in video.done:
                return shard
            self._counts.shards_found += 1
            self._bar.advance(shard.stop - shard.start)
        return None

    def _leave(self, video: OpenVideo) -> None:
        """Start nothing more of a video. When nothing is left of it, it is closed as soon as what runs is over."""
        video.begun = True
        while self._next_undone(video) is not None:
            video.left += 1
        if not video.running:
            self._close(video)

    def _next_video(self, videos: Iterator[Video]) -> Call | None:
        if self._limits.videos and self._begun >= self._limits.videos:
            self._counts.listed = True
            return None
        layout = self._task.layout
        for video in videos:
            if self._stop.overdue:
                return None
            self._counts.videos += 1
            ending = self._index.find(video, layout.state(video))
            if ending is None:
                self._begun += 1
                self._unfinished[video.id] = None
                return Call(self._calls.open, (self._task, video), Opening(video))
            self._counts.skipped += 1
            if ending == "failed":
                shown = len(self._counts.failures) < SHOWN_FAILURES
                self._counts.fail(video.id, (failure_reason(layout, video) if shown else None) or "see its failure row")
        self._counts.listed = True
        return None

    def _close(self, video: OpenVideo) -> None:
        if not video.left:
            self._end(video.video, video.timeline, video.plan, video.failures)

    def _end(self, video: Video, timeline: Timeline | None, plan: Sequence[Range], failures: Sequence[Failure]) -> None:
        call = Call(self._calls.close, (self._task, video, timeline, plan, failures), Closing(video))
        if self._breaker.watches_machinery and any(failure.cause.waits for failure in failures):
            self._held.append(call)
        else:
            self._cluster.submit(call)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for call in held:
            self._cluster.submit(call)

    def _over(self, outcome: Outcome) -> None:
        tag: Tag = outcome.call.tag
        if self._monitor is not None:
            self._monitor.ended(outcome, tag)
        match tag:
            case Opening(video):
                self._tell_breaker(video, outcome, proves_work=False)
                self._opened(video, outcome)
            case Working(opened, frames):
                self._tell_breaker(opened.video, outcome, proves_work=True)
                self._worked(opened, frames, outcome)
            case Closing(video):
                self._closed(video, outcome)

    def _tell_breaker(self, video: Video, outcome: Outcome, *, proves_work: bool) -> None:
        """`proves_work`: only a shard proves that the work can be done: videos can be opened and closed, and their
        failures recorded, where no shard succeeds."""
        if outcome.cause is None:
            if proves_work:
                self._breaker.succeeded()
                self._let_go()
        elif outcome.cause is not Cause.DROPPED:
            self._breaker.failed(video.id, outcome.cause, outcome.failure or "")

    def _opened(self, video: Video, outcome: Outcome) -> None:
        if outcome.cause is Cause.DROPPED:
            return
        if outcome.cause is not None:
            self._end(video, None, [], [Failure(outcome.failure or "", [], outcome.cause)])
            return
        opened: Opened = outcome.value
        if opened.timeline is None:
            self._begun -= 1
            del self._unfinished[video.id]
            self._counts.skipped += 1
            self._counts.add(opened.counts)
            if opened.failure:
                self._counts.fail(video.id, opened.failure)
            return
        self._bar.grow(self._plan.count(video, opened.timeline))
        self._counts.add({"bytes": video.size})
        shards = self._plan.shards(video, opened.timeline)
        self._unfinished[video.id] = open_video = OpenVideo(video, opened.timeline, shards, opened.done)
        if self._stopping:
            self._leave(open_video)
        else:
            self._open.append(open_video)

    def _worked(self, video: OpenVideo, frames: Range, outcome: Outcome) -> None:
        video.running -= 1
        if outcome.cause is Cause.DROPPED:
            video.left += 1
        elif outcome.cause is not None:
            video.failures.append(Failure(outcome.failure or "", [frames], outcome.cause))
        else:
            self._counts.shards += 1
            self._counts.add(outcome.value)
        cubes = self._counts.figures.get("cubes", 0)
        self._bar.advance(frames[1] - frames[0], {"cubes": f"{cubes:,.0f}", "failed": str(self._counts.failed)})
        if video.begun and not video.running:
            self._close(video)

    def _closed(self, video: Video, outcome: Outcome) -> None:
        if outcome.cause is Cause.DROPPED:
            return
        del self._unfinished[video.id]
        if outcome.cause is not None:
            self._breaker.failed(video.id, outcome.cause, outcome.failure or "")
            self._counts.fail(video.id, outcome.failure or "")
        else:
            self._counts.add(outcome.value)
            if reason := outcome.value.get("failure"):
                self._counts.fail(video.id, reason)
