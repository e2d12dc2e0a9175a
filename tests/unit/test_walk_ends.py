"""How a walk ends before its end: what it says is left, and which failures it records.

The walk is the real one; calls are made in this process, and fail as they are told to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad.archive.catalog import Video
from hf2vad.cluster.dispatch import Call, Outcome
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.stop import Stop, StopReason
from hf2vad.errors import BreakerError
from hf2vad.storage import read_json
from hf2vad.tables.layout import RunLayout
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline
from hf2vad.walk.counts import RunCounts
from hf2vad.walk.failures import Failure, put_failure_row
from hf2vad.walk.limits import ShardPlan
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.video import LOST_SHARDS, Working
from hf2vad.walk.walk import Walk, WorkerCalls
from hf2vad.walk.worker import Opened

SHARDS = 4
FRAMES = 10 * SHARDS


@dataclass
class Inline:
    """A dispatcher that makes a call when it is waited for; one whose video is in `fails` has that cause instead."""

    fails: dict[str, Cause] = field(default_factory=dict)
    in_flight: int = 1
    retried: int = 0
    calls: deque[Call] = field(default_factory=deque)
    worked: int = 0
    """Shards that were submitted."""

    @property
    def running(self) -> int:
        return len(self.calls)

    def submit(self, call: Call) -> None:
        self.worked += isinstance(call.tag, Working)
        self.calls.append(call)

    def take_back(self, which: Callable[[Call], bool]) -> None:
        """All have begun."""

    def poll(self) -> Outcome:
        call = self.calls.popleft()
        cause = self.fails.get(call.tag.video.id) if isinstance(call.tag, Working) else None
        if cause is not None:
            return Outcome(call, None, "why", 1, cause)
        return Outcome(call, call.function(*call.args), None, 1)


@dataclass
class Worked:
    """What workers do: open videos of FRAMES frames, do nothing, and keep failure rows."""

    closed: list[str] = field(default_factory=list)

    @property
    def calls(self) -> WorkerCalls:
        return WorkerCalls(self._open, self._work, self._close)

    def _open(self, task: Task, video: Video) -> Opened:
        return Opened(Timeline(FRAMES, 64, 48, np.arange(FRAMES) / 25))

    def _work(self, task: Task, shard: Shard) -> dict[str, Any]:
        return {}

    def _close(
        self, task: Task, video: Video, timeline: Timeline | None, plan: Sequence[Range], failures: Sequence[Failure]
    ) -> dict[str, Any]:
        self.closed.append(video.id)
        return {"failure": put_failure_row(task.layout, video, failures)}


@dataclass(frozen=True)
class Task:
    """Nothing but a place for failure rows."""

    layout: RunLayout


def videos(count: int) -> Iterator[Video]:
    for number in range(count):
        yield Video(f"{number:02d}.mp4", f"/{number:02d}.mp4", "file", "f" * 16, 1)


def run(
    worked: Worked,
    cluster: Inline,
    count: int,
    out: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    breaker: BreakerConfig | None = None,
    shards: int = SHARDS,
) -> RunCounts:
    walk = Walk(
        cluster,  # type: ignore[arg-type]
        Task(RunLayout(prefix=str(out), plan="plan", final="final")),  # type: ignore[arg-type]
        ShardPlan(FRAMES // shards),
        breaker=breaker,
        stop=Stop(conditions={StopReason.TIME: stop}),
        calls=worked.calls,
    )
    return walk.run(videos(count), "test")


@pytest.mark.parametrize("in_flight", [1, 3, 20])
def test_told_to_stop_it_says_how_many_shards_are_left(in_flight: int, tmp_path: Path) -> None:
    worked, cluster = Worked(), Inline(in_flight=in_flight)
    counts = run(worked, cluster, 5, tmp_path, stop=lambda: cluster.worked >= 6)
    assert counts.stopped
    assert counts.shards == cluster.worked == 6
    assert worked.closed == ["00.mp4"]
    assert counts.left >= 1
    assert counts.shards_left == SHARDS * (counts.left + 1) - 6


@pytest.mark.parametrize("in_flight", [1, 3, 20])
def test_told_to_stop_after_the_last_shard_it_has_done_everything(in_flight: int, tmp_path: Path) -> None:
    worked, cluster = Worked(), Inline(in_flight=in_flight)
    counts = run(worked, cluster, 3, tmp_path, stop=lambda: cluster.worked >= 3 * SHARDS)
    assert (counts.stopped, counts.left, counts.shards_left) == (False, 0, 0)
    assert worked.closed == ["00.mp4", "01.mp4", "02.mp4"]


def test_told_to_stop_between_two_videos_it_says_that_there_is_more(tmp_path: Path) -> None:
    worked, cluster = Worked(), Inline()
    counts = run(worked, cluster, 3, tmp_path, stop=lambda: cluster.worked >= SHARDS)
    assert (counts.stopped, counts.listed, counts.left) == (True, False, 0)
    assert worked.closed == ["00.mp4"]


@pytest.mark.parametrize(("cause", "runs"), [(Cause.INPUT, 2), (Cause.WORKER, 2), (Cause.NODE, 0), (Cause.STORAGE, 0)])
def test_only_what_may_lie_in_the_video_counts_among_its_tries(cause: Cause, runs: int, tmp_path: Path) -> None:
    for _ in range(2):
        counts = run(Worked(), Inline({"01.mp4": cause}), 3, tmp_path)
        assert (counts.failed, counts.shards) == (1, 2 * SHARDS)
    row = read_json(str(tmp_path / "failures" / "01.mp4.json"))
    assert (row["runs"], row["reason"], len(row["frames"])) == (runs, "why", SHARDS)


def test_when_the_breaker_ends_the_run_nothing_is_recorded_of_what_workers_and_storage_did(tmp_path: Path) -> None:
    for cause in (Cause.WORKER, Cause.STORAGE):
        worked = Worked()
        fails = {f"{number:02d}.mp4": cause for number in range(3, 20)}
        with pytest.raises(BreakerError):
            run(worked, Inline(fails), 20, tmp_path, breaker=BreakerConfig(calls=6, share=0.8))
        assert worked.closed == ["00.mp4", "01.mp4", "02.mp4"]
        assert not (tmp_path / "failures").exists()


def test_an_archive_of_which_everything_fails_but_which_is_small_is_recorded(tmp_path: Path) -> None:
    worked = Worked()
    counts = run(worked, Inline({"00.mp4": Cause.WORKER}), 1, tmp_path)
    assert (counts.failed, worked.closed) == (1, ["00.mp4"])


def test_a_video_that_kills_many_workers_is_given_up(tmp_path: Path) -> None:
    cluster = Inline({"00.mp4": Cause.WORKER})
    counts = run(Worked(), cluster, 1, tmp_path, shards=FRAMES)
    assert counts.failed == 1
    assert cluster.worked == LOST_SHARDS
    row = read_json(str(tmp_path / "failures" / "00.mp4.json"))
    assert len(row["frames"]) == FRAMES
    assert "not tried after 5 others that killed their workers" in row["reason"]
