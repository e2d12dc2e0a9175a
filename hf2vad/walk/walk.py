"""The walk over an archive that extraction and scoring share: open each video, work on its shards, close it.

The driver streams the catalogue, passes over videos that earlier runs marked as finished, and holds only those that are
open; opening, working and closing are calls on the cluster. `Steps` says what those calls are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import Range, Shard, cut_shards
from hf2vad.archive.timeline import Timeline
from hf2vad.cluster.dispatch import DROP_SECONDS, Call, Dispatcher, Outcome
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.stop import Stop
from hf2vad.progress import ProgressBar
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.breaker import Breaker
from hf2vad.walk.counts import SHOWN_FAILURES, Tally
from hf2vad.walk.limits import FrameSpan
from hf2vad.walk.markers import Known, Marks
from hf2vad.walk.settings import BreakerConfig

LOST_SHARDS = 5
"""Shards of a video that may lose their workers; then the rest of it is not tried, or one video could take a night."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What opening a video found."""

    timeline: Timeline | None
    """None when there is nothing left to do."""
    done: frozenset[Range] = frozenset()
    """Shards whose result is on storage already."""
    failure: str | None = None
    """For a video with nothing left to do: the failure row that it has."""
    counts: dict[str, float] = field(default_factory=dict)


@dataclass
class Failure:
    """Why a video, or some frames of it, have no result."""

    reason: str
    ranges: list[Range]
    """Frames concerned; empty: all of them."""
    tries: int = 1
    cause: Cause = Cause.INPUT


class Steps(Protocol):
    """What a walk does with a video: `open`, `work` and `close` return the call that does it."""

    @property
    def marks(self) -> Marks:
        """The marks of finished videos."""

    def state(self, video: Video) -> str:
        """Hash of what decides the result of `video`: the state in its mark."""

    def failure(self, video: Video) -> str | None:
        """The reason in the failure row of `video`, if it has one."""

    def open(self, video: Video) -> Call:
        """Its value is an Opened."""

    def work(self, shard: Shard) -> Call:
        """Its value is a dict of counts."""

    def close(self, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]) -> Call:
        """Its value is a dict of counts, with `failure` where the video ends with a failure row."""


@dataclass(eq=False)
class _Open:
    """An open video."""

    video: Video
    timeline: Timeline
    shards: Iterator[Shard]
    done: frozenset[Range]
    plan: list[Range] = field(default_factory=list)
    running: int = 0
    failures: list[Failure] = field(default_factory=list)
    begun: bool = False
    """Whether all of its shards were started."""
    left: int = 0
    """Shards that are left for another run."""

    @property
    def hopeless(self) -> bool:
        """Whether it has cost too many workers."""
        return sum(failure.cause is Cause.WORKER for failure in self.failures) >= LOST_SHARDS


@dataclass(frozen=True)
class Extent:
    """How much of an archive a walk takes on."""

    finished: Callable[[Marks], Known] = Marks.read
    """How marks of finished videos are read: in the order of the walk's videos."""
    videos: int = 0
    """New videos, at most; 0: all."""
    stop: Callable[[], bool] = lambda: False
    """Asked before anything is started; once true, what runs is finished and no more is started."""
    backlog: Backlog = field(default_factory=Backlog)
    """What else there is to take on, where somebody asks."""


ALL = Extent()


class Watcher(Protocol):
    """Who is told of a walk while it goes on."""

    @property
    def tally(self) -> Tally:
        """What the walk counts into. Failed shards and finished videos the watcher counts itself."""

    def settled(self, outcome: Outcome) -> None:
        """A call came to its end; its tag is a Video (opening), an open video and its frames, or an id (closing)."""


def walk(
    videos: Iterable[Video],
    dispatcher: Dispatcher,
    steps: Steps,
    *,
    shard_frames: int,
    span: FrameSpan,
    label: str,
    extent: Extent = ALL,
    stop: Stop | None = None,
    breaker: BreakerConfig | None = None,
    watcher: Watcher | None = None,
) -> Tally:
    """Walk over `videos`; returns what was done. Frames are the unit of its progress bar.

    `stop`: looked at all the time, as `extent.stop` is, but knows haste. Raises BreakerError when nearly everything
    fails, by default as BreakerConfig has it.
    """
    guard = Breaker(breaker or BreakerConfig())
    with ProgressBar(label, unit="frames") as bar:
        run = _Walk(dispatcher, steps, shard_frames, span, bar, extent, stop or Stop(), guard, watcher)
        return run.run(iter(videos))


class _Walk:
    def __init__(
        self,
        dispatcher: Dispatcher,
        steps: Steps,
        shard_frames: int,
        span: FrameSpan,
        bar: ProgressBar,
        extent: Extent,
        stop: Stop,
        breaker: Breaker,
        watcher: Watcher | None,
    ) -> None:
        self._dispatcher, self._steps, self._bar = dispatcher, steps, bar
        self._shard_frames, self._span = shard_frames, span
        self._extent, self._stop, self._breaker = extent, stop, breaker
        self._stopping = False
        self._held: list[Call] = []
        """Ends of videos that failed by dead workers or storage: not recorded before something else has worked, or
        everything else is done. When the breaker ends the run they never are."""
        self._begun = 0
        self._unfinished: dict[str, _Open | None] = {}
        """Videos that were begun, once they are opened with what is known of them."""
        self._finished: Known = extent.finished(steps.marks)
        self._open: deque[_Open] = deque()
        self._tally = Tally() if watcher is None else watcher.tally
        self._watcher = watcher

    def run(self, videos: Iterator[Video]) -> Tally:
        dispatcher = self._dispatcher
        while True:
            self._look_at_stop()
            while not self._stopping and dispatcher.running < dispatcher.in_flight:
                call = self._next_shard() or self._next_video(videos)
                if call is None:
                    break
                dispatcher.submit(call)
                self._look_at_stop()
            if not dispatcher.running:
                if not self._held:
                    break
                self._let_go()
            if self._stop.overdue:
                self._drop()
                break
            outcome = dispatcher.poll()
            if outcome is not None:
                self._settle(outcome)
        self._tally.retried = dispatcher.retried
        if self._stopping:
            self._count_what_is_left(videos)
        return self._tally

    def _count_what_is_left(self, videos: Iterator[Video]) -> None:
        tally, begun = self._tally, list(self._unfinished.values())
        tally.left = len(begun)
        tally.shards_left = sum(head.left + head.running for head in begun if head is not None)
        if not tally.left and not tally.listed:
            self._next_video(videos)  # says so when there is none
        tally.stopped = tally.left > 0 or not tally.listed

    def _look_at_stop(self) -> None:
        if self._stopping or not (self._stop.told or self._extent.stop()):
            return
        self._stopping = True
        self._dispatcher.take_back(lambda call: not isinstance(call.tag, str))
        for head in self._open:
            self._leave(head)
        self._open.clear()

    def _drop(self) -> None:
        """Take back whatever runs, and count what comes back soon."""
        dispatcher, until = self._dispatcher, time.monotonic() + DROP_SECONDS
        dispatcher.take_back(begun=True)
        while dispatcher.running and (left := until - time.monotonic()) > 0:
            if (outcome := dispatcher.poll(left)) is not None:
                self._settle(outcome)

    def _next_shard(self) -> Call | None:
        while self._open:
            head = self._open[0]
            shard = self._next_undone(head)
            if shard is None:
                self._open.popleft()
                head.begun = True
                if not head.running:
                    self._close(head)
                continue
            frames = (shard.start, shard.stop)
            if head.hopeless:
                reason = f"not tried after {LOST_SHARDS} others that killed their workers"
                head.failures.append(Failure(reason, [frames], 0, Cause.WORKER))
                self._bar.advance(shard.stop - shard.start)
                continue
            head.running += 1
            call = self._steps.work(shard)
            return Call(call.function, call.args, (head, frames))
        return None

    def _next_undone(self, head: _Open) -> Shard | None:
        """The next shard that has no result yet."""
        for shard in head.shards:
            head.plan.append((shard.start, shard.stop))
            if (shard.start, shard.stop) not in head.done:
                return shard
            self._tally.shards_found += 1
            self._bar.advance(shard.stop - shard.start)
        return None

    def _leave(self, head: _Open) -> None:
        """Start nothing more of a video. When nothing is left of it, it is closed as soon as what runs is over."""
        head.begun = True
        while self._next_undone(head) is not None:
            head.left += 1
        if not head.running:
            self._close(head)

    def _next_video(self, videos: Iterator[Video]) -> Call | None:
        if self._extent.videos and self._begun >= self._extent.videos:
            self._tally.listed = True
            return None
        for video in videos:
            if self._stop.overdue:
                return None
            self._tally.videos += 1
            known = self._finished.find(video, self._steps.state(video))
            if known is None:
                self._begun += 1
                self._unfinished[video.id] = None
                call = self._steps.open(video)
                return Call(call.function, call.args, video)
            self._tally.skipped += 1
            if known == "failed":
                shown = len(self._tally.failures) < SHOWN_FAILURES
                self._tally.fail(video.id, (self._steps.failure(video) if shown else None) or "see its failure row")
        self._tally.listed = True
        return None

    def _close(self, head: _Open) -> None:
        if not head.left:
            self._end(head.video, head.timeline, head.plan, head.failures)

    def _end(self, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]) -> None:
        call = self._steps.close(video, timeline, plan, failures)
        call = Call(call.function, call.args, video.id)
        if self._breaker.watches_machinery and any(failure.cause.blames_machinery for failure in failures):
            self._held.append(call)
        else:
            self._dispatcher.submit(call)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for call in held:
            self._dispatcher.submit(call)

    def _settle(self, outcome: Outcome) -> None:
        tag = outcome.call.tag
        if self._watcher is not None:
            self._watcher.settled(outcome)
        if isinstance(tag, Video):
            self._note(tag.id, outcome)
            self._opened(tag, outcome)
        elif isinstance(tag, tuple):
            self._note(tag[0].video.id, outcome)
            self._worked(tag[0], tag[1], outcome)
        else:
            self._closed(tag, outcome)

    def _note(self, video_id: str, outcome: Outcome) -> None:
        """Tell the breaker. Only a shard proves that the work can be done: videos can be opened and closed, and their
        failures recorded, where no shard succeeds."""
        if outcome.cause is None:
            if isinstance(outcome.call.tag, tuple):
                self._breaker.succeeded()
                self._let_go()
        elif outcome.cause is not Cause.DROPPED:
            self._breaker.failed(video_id, outcome.cause, outcome.failure or "")

    def _opened(self, video: Video, outcome: Outcome) -> None:
        if outcome.cause is Cause.DROPPED:
            return
        if outcome.cause is not None:
            failure = Failure(outcome.failure or "", [], outcome.tries, outcome.cause)
            self._end(video, None, [], [failure])
            return
        opened: Opened = outcome.value
        if opened.timeline is None:
            self._begun -= 1
            del self._unfinished[video.id]
            self._tally.skipped += 1
            self._tally.add(opened.counts)
            if opened.failure:
                self._tally.fail(video.id, opened.failure)
            return
        start, stop = self._span.of(opened.timeline.frame_count)
        self._bar.grow(stop - start)
        self._tally.add({"bytes": video.size})
        shards = cut_shards(video, opened.timeline, self._shard_frames, start=start, stop=stop)
        head = _Open(video, opened.timeline, shards, opened.done)
        self._unfinished[video.id] = head
        if self._stopping:
            self._leave(head)
        else:
            self._open.append(head)

    def _worked(self, head: _Open, frames: Range, outcome: Outcome) -> None:
        head.running -= 1
        if outcome.cause is Cause.DROPPED:
            head.left += 1
        elif outcome.cause is not None:
            head.failures.append(Failure(outcome.failure or "", [frames], outcome.tries, outcome.cause))
        else:
            self._tally.shards += 1
            self._tally.add(outcome.value)
        counted = self._tally.counts
        self._bar.advance(
            frames[1] - frames[0],
            {"cubes": f"{counted.get('cubes', 0):,.0f}", "failed": str(self._tally.failed)},
        )
        if head.begun and not head.running:
            self._close(head)

    def _closed(self, video_id: str, outcome: Outcome) -> None:
        if outcome.cause is Cause.DROPPED:
            return
        del self._unfinished[video_id]
        if outcome.cause is not None:
            self._breaker.failed(video_id, outcome.cause, outcome.failure or "")
            self._tally.fail(video_id, outcome.failure or "")
        else:
            self._tally.add(outcome.value)
            if reason := outcome.value.get("failure"):
                self._tally.fail(video_id, reason)
