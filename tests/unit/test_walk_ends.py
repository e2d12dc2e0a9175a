"""How a walk ends before its end: what it says is left, and which failures it records.

The walk is the real one; calls are made in this process, and fail as they are told to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import Range, Shard
from hf2vad.archive.timeline import Timeline
from hf2vad.cluster.dispatch import Call, Outcome
from hf2vad.cluster.policy import Cause
from hf2vad.errors import BreakerError
from hf2vad.storage import read_json
from hf2vad.walk.counts import Tally
from hf2vad.walk.limits import FrameSpan
from hf2vad.walk.markers import Marks
from hf2vad.walk.record import settle_failures
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.walk import LOST_SHARDS, Extent, Failure, Opened, walk

SHARDS = 4
FRAMES = 10 * SHARDS


def nothing(*_: object) -> dict[str, Any]:
    return {}


@dataclass
class Inline:
    """A dispatcher that makes a call when it is waited for; one whose video is in `fails` has that cause instead."""

    fails: dict[str, Cause] = field(default_factory=dict)
    in_flight: int = 1
    retried: int = 0
    calls: deque[Call] = field(default_factory=deque)

    @property
    def running(self) -> int:
        return len(self.calls)

    def submit(self, call: Call) -> None:
        self.calls.append(call)

    def take_back(self, which: Callable[[Call], bool]) -> None:
        """All have begun."""

    def poll(self) -> Outcome:
        call = self.calls.popleft()
        cause = self.fails.get(call.tag[0].video.id) if isinstance(call.tag, tuple) else None
        if cause is not None:
            return Outcome(call, None, "why", 1, cause)
        return Outcome(call, call.function(*call.args), None, 1)


@dataclass
class Steps:
    """Opens videos of SHARDS shards, and keeps failure rows under `prefix`."""

    prefix: str
    worked: int = 0
    closed: list[str] = field(default_factory=list)

    @property
    def marks(self) -> Marks:
        return Marks(f"{self.prefix}/done")

    def state(self, video: Video) -> str:
        return "state"

    def failure(self, video: Video) -> None:
        return None

    def open(self, video: Video) -> Call:
        timeline = Timeline(FRAMES, 64, 48, np.arange(FRAMES) / 25)
        return Call(lambda: Opened(timeline), (), None)

    def work(self, shard: Shard) -> Call:
        self.worked += 1
        return Call(nothing, (), None)

    def close(self, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]) -> Call:
        def close() -> dict[str, Any]:
            self.closed.append(video.id)
            return {"failure": settle_failures(self.prefix, video, failures)}

        return Call(close, (), None)


def videos(count: int) -> Iterator[Video]:
    for number in range(count):
        yield Video(f"{number:02d}.mp4", f"/{number:02d}.mp4", "file", "f" * 16, 1)


def run(
    steps: Steps,
    dispatcher: Inline,
    count: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    breaker: BreakerConfig | None = None,
) -> Tally:
    span, extent = FrameSpan(), Extent(stop=stop)
    return walk(
        videos(count),
        dispatcher,  # type: ignore[arg-type]
        steps,
        shard_frames=FRAMES // SHARDS,
        span=span,
        label="test",
        extent=extent,
        breaker=breaker,
    )


@pytest.mark.parametrize("in_flight", [1, 3, 20])
def test_told_to_stop_it_says_how_many_shards_are_left(in_flight: int, tmp_path: Path) -> None:
    steps = Steps(str(tmp_path))
    tally = run(steps, Inline(in_flight=in_flight), 5, stop=lambda: steps.worked >= 6)
    assert tally.stopped
    assert tally.shards == steps.worked == 6
    assert steps.closed == ["00.mp4"]
    assert tally.left >= 1
    assert tally.shards_left == SHARDS * (tally.left + 1) - 6


@pytest.mark.parametrize("in_flight", [1, 3, 20])
def test_told_to_stop_after_the_last_shard_it_has_done_everything(in_flight: int, tmp_path: Path) -> None:
    steps = Steps(str(tmp_path))
    tally = run(steps, Inline(in_flight=in_flight), 3, stop=lambda: steps.worked >= 3 * SHARDS)
    assert (tally.stopped, tally.left, tally.shards_left) == (False, 0, 0)
    assert steps.closed == ["00.mp4", "01.mp4", "02.mp4"]


def test_told_to_stop_between_two_videos_it_says_that_there_is_more(tmp_path: Path) -> None:
    steps = Steps(str(tmp_path))
    tally = run(steps, Inline(), 3, stop=lambda: steps.worked >= SHARDS)
    assert (tally.stopped, tally.listed, tally.left) == (True, False, 0)
    assert steps.closed == ["00.mp4"]


@pytest.mark.parametrize(("cause", "runs"), [(Cause.INPUT, 2), (Cause.WORKER, 2), (Cause.NODE, 0), (Cause.STORAGE, 0)])
def test_only_what_may_lie_in_the_video_counts_among_its_tries(cause: Cause, runs: int, tmp_path: Path) -> None:
    for _ in range(2):
        tally = run(Steps(str(tmp_path)), Inline({"01.mp4": cause}), 3)
        assert (tally.failed, tally.shards) == (1, 2 * SHARDS)
    row = read_json(str(tmp_path / "failures" / "01.mp4.json"))
    assert (row["runs"], row["reason"], len(row["frames"])) == (runs, "why", SHARDS)


def test_when_the_breaker_ends_the_run_nothing_is_recorded_of_what_workers_and_storage_did(tmp_path: Path) -> None:
    for cause in (Cause.WORKER, Cause.STORAGE):
        steps = Steps(str(tmp_path))
        fails = {f"{number:02d}.mp4": cause for number in range(3, 20)}
        with pytest.raises(BreakerError):
            run(steps, Inline(fails), 20, breaker=BreakerConfig(calls=6, share=0.8))
        assert steps.closed == ["00.mp4", "01.mp4", "02.mp4"]
        assert not (tmp_path / "failures").exists()


def test_an_archive_of_which_everything_fails_but_which_is_small_is_recorded(tmp_path: Path) -> None:
    steps = Steps(str(tmp_path))
    tally = run(steps, Inline({"00.mp4": Cause.WORKER}), 1)
    assert (tally.failed, steps.closed) == (1, ["00.mp4"])


def test_a_video_that_kills_many_workers_is_given_up(tmp_path: Path) -> None:
    steps = Steps(str(tmp_path))
    span = FrameSpan()
    tally = walk(
        videos(1),
        Inline({"00.mp4": Cause.WORKER}),  # type: ignore[arg-type]
        steps,
        shard_frames=1,
        span=span,
        label="test",
    )
    assert tally.failed == 1
    assert steps.worked == LOST_SHARDS
    row = read_json(str(tmp_path / "failures" / "00.mp4.json"))
    assert len(row["frames"]) == FRAMES
    assert "not tried after 5 others that killed their workers" in row["reason"]
