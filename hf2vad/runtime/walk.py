"""The walk over an archive that extraction and scoring share: open each video, work on its shards, close it.

The driver streams the catalogue, passes over videos that earlier runs marked as finished, and holds only those that are
open; opening, working and closing are calls on the cluster. `Steps` says what those calls are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from hf2vad.archive.catalog import EVERYTHING, Video
from hf2vad.archive.scope import Scope
from hf2vad.archive.shards import Shard, cut_shards
from hf2vad.archive.timeline import Timeline
from hf2vad.errors import ConfigError
from hf2vad.profile import Profile, Report
from hf2vad.progress import ProgressBar
from hf2vad.runtime.backlog import Backlog
from hf2vad.runtime.dispatch import Call, Dispatcher, Outcome
from hf2vad.runtime.names import Marks, Range

SHOWN_FAILURES = 20
"""Failures that a run holds and shows; all are on storage."""


@dataclass(frozen=True)
class FrameSpan:
    """A part of every video: `100:500` in frames, `:50%` in shares, `:` all of it."""

    text: str = ":"

    def of(self, frame_count: int) -> Range:
        """First frame and the one after the last, for a video of `frame_count` frames."""
        start, stop = (self._position(part, frame_count, default) for part, default in self._parts(frame_count))
        return min(start, frame_count), max(min(stop, frame_count), min(start, frame_count))

    def check(self) -> None:
        """Raise ConfigError for a span that cannot be read."""
        self.of(1000)

    def _parts(self, frame_count: int) -> Iterator[tuple[str, int]]:
        parts = self.text.split(":")
        if len(parts) != 2:
            raise ConfigError(f"--frames must look like 0:500, :50% or 50%:, got {self.text!r}")
        yield from zip(parts, (0, frame_count), strict=True)

    def _position(self, part: str, frame_count: int, default: int) -> int:
        if not part:
            return default
        if share := re.fullmatch(r"(\d+(?:\.\d+)?)%", part):
            return round(min(float(share[1]), 100.0) * frame_count / 100)
        if re.fullmatch(r"\d+", part):
            return int(part)
        raise ConfigError(f"--frames must look like 0:500, :50% or 50%:, got {self.text!r}")


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


@dataclass
class Tally:
    """Counts of a walk."""

    videos: int = 0
    """Videos in the catalogue."""
    skipped: int = 0
    """Videos whose result was complete before."""
    shards: int = 0
    """Shards computed in this run."""
    shards_failed: int = 0
    """Shards that have no result after all tries."""
    shards_found: int = 0
    """Shards whose result an earlier run had left."""
    stopped: bool = False
    """Whether it was told to stop before its end."""
    left: int = 0
    """Videos that were begun and not finished when it was told to stop."""
    retried: int = 0
    """Calls started again after a worker died or storage failed."""
    finished: int = 0
    """Videos that this run closed, with a failure row or without."""
    failed: int = 0
    """Videos that end with a failure row."""
    failures: list[dict[str, str]] = field(default_factory=list)
    """The first SHOWN_FAILURES of them: video and reason."""
    counts: dict[str, float] = field(default_factory=dict)
    """Sums of what the calls counted: frames, cubes, seconds of video …"""
    profile: Profile = field(default_factory=Profile)
    """Where the workers' time went."""

    def add(self, counts: dict[str, Any]) -> None:
        """Add the numbers of one call, and its report of where time went."""
        for name, value in counts.items():
            if isinstance(value, Report):
                self.profile.add(value)
            elif isinstance(value, int | float):
                self.counts[name] = self.counts.get(name, 0) + value

    def fail(self, video_id: str, reason: str) -> None:
        """Count a video that ends with a failure row."""
        self.failed += 1
        if len(self.failures) < SHOWN_FAILURES:
            self.failures.append({"video": video_id, "reason": reason})


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


@dataclass(frozen=True)
class Extent:
    """How much of an archive a walk takes on."""

    scope: Scope = EVERYTHING
    """Where marks of finished videos are looked for: what the walk's videos are in."""
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
    watcher: Watcher | None = None,
) -> Tally:
    """Walk over `videos`; returns what was done. Frames are the unit of its progress bar."""
    with ProgressBar(label, unit="frames") as bar:
        return _Walk(dispatcher, steps, shard_frames, span, bar, extent, watcher).run(iter(videos))


class _Walk:
    def __init__(
        self,
        dispatcher: Dispatcher,
        steps: Steps,
        shard_frames: int,
        span: FrameSpan,
        bar: ProgressBar,
        extent: Extent,
        watcher: Watcher | None,
    ) -> None:
        self._dispatcher, self._steps, self._bar = dispatcher, steps, bar
        self._shard_frames, self._span = shard_frames, span
        self._extent = extent
        self._begun = 0
        self._finished = steps.marks.read(extent.scope)
        self._open: deque[_Open] = deque()
        self._tally = Tally() if watcher is None else watcher.tally
        self._watcher = watcher

    def run(self, videos: Iterator[Video]) -> Tally:
        dispatcher = self._dispatcher
        while True:
            while dispatcher.running < dispatcher.in_flight:
                if self._extent.stop():
                    self._tally.stopped = True
                    break
                call = self._next_shard() or self._next_video(videos)
                if call is None:
                    break
                dispatcher.submit(call)
            if not dispatcher.running:
                break
            self._settle(dispatcher.wait())
        self._tally.retried = dispatcher.retried
        self._tally.left = len(self._open)
        return self._tally

    def _next_shard(self) -> Call | None:
        while self._open:
            head = self._open[0]
            shard = next(head.shards, None)
            if shard is None:
                self._open.popleft()
                if not head.running:
                    return self._close(head)
                continue
            head.plan.append((shard.start, shard.stop))
            if (shard.start, shard.stop) in head.done:
                self._tally.shards_found += 1
                self._bar.advance(shard.stop - shard.start)
                continue
            head.running += 1
            call = self._steps.work(shard)
            return Call(call.function, call.args, (head, (shard.start, shard.stop)))
        return None

    def _next_video(self, videos: Iterator[Video]) -> Call | None:
        if self._extent.videos and self._begun >= self._extent.videos:
            return None
        for video in videos:
            self._tally.videos += 1
            known = self._finished.find(video, self._steps.state(video))
            if known is None:
                self._begun += 1
                call = self._steps.open(video)
                return Call(call.function, call.args, video)
            self._tally.skipped += 1
            if known == "failed":
                shown = len(self._tally.failures) < SHOWN_FAILURES
                self._tally.fail(video.id, (self._steps.failure(video) if shown else None) or "see its failure row")
        return None

    def _close(self, head: _Open) -> Call:
        call = self._steps.close(head.video, head.timeline, head.plan, head.failures)
        return Call(call.function, call.args, head.video.id)

    def _settle(self, outcome: Outcome) -> None:
        tag = outcome.call.tag
        if self._watcher is not None:
            self._watcher.settled(outcome)
        if isinstance(tag, Video):
            self._opened(tag, outcome)
        elif isinstance(tag, tuple):
            self._worked(tag[0], tag[1], outcome)
        else:
            self._closed(tag, outcome)

    def _opened(self, video: Video, outcome: Outcome) -> None:
        if outcome.failure is not None:
            failure = Failure(outcome.failure, [], outcome.tries)
            call = self._steps.close(video, None, [], [failure])
            self._dispatcher.submit(Call(call.function, call.args, video.id))
            return
        opened: Opened = outcome.value
        if opened.timeline is None:
            self._begun -= 1
            self._tally.skipped += 1
            self._tally.add(opened.counts)
            if opened.failure:
                self._tally.fail(video.id, opened.failure)
            return
        start, stop = self._span.of(opened.timeline.frame_count)
        self._bar.grow(stop - start)
        self._tally.add({"bytes": video.size})
        shards = cut_shards(video, opened.timeline, self._shard_frames, start=start, stop=stop)
        self._open.append(_Open(video, opened.timeline, shards, opened.done))

    def _worked(self, head: _Open, frames: Range, outcome: Outcome) -> None:
        head.running -= 1
        if outcome.failure is None:
            self._tally.shards += 1
            self._tally.add(outcome.value)
        else:
            head.failures.append(Failure(outcome.failure, [frames], outcome.tries))
        counted = self._tally.counts
        self._bar.advance(
            frames[1] - frames[0],
            {"cubes": f"{counted.get('cubes', 0):,.0f}", "failed": str(self._tally.failed)},
        )
        if not head.running and head not in self._open:
            self._dispatcher.submit(self._close(head))

    def _closed(self, video_id: str, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self._tally.fail(video_id, outcome.failure)
            return
        self._tally.add(outcome.value)
        if reason := outcome.value.get("failure"):
            self._tally.fail(video_id, reason)
