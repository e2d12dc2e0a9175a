"""What is logged and recorded of a run while its calls come to their ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad import logs
from hf2vad.archive.catalog import Video
from hf2vad.cluster.dispatch import Call, Outcome
from hf2vad.cluster.inline import InlineCluster
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.settings import RayConfig
from hf2vad.storage import read_json
from hf2vad.tables.compact import compact
from hf2vad.video.timeline import Timeline
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.monitor import RunMonitor
from hf2vad.walk.record import RunRecord
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.video import Closing, Opening, OpenVideo, Tag, Working
from hf2vad.walk.worker import Opened, open_video

VIDEO = Video("gate/a.mp4", "/gate/a.mp4", "file", "f" * 16, 1)
TIMELINE = Timeline(60, 64, 48, np.arange(60) / 25)

Line = tuple[str, dict[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    told: list[Line] = []
    monkeypatch.setattr(logs, "bind", lambda **fields: None)
    monkeypatch.setattr(logs, "event", lambda message, **fields: told.append((message, fields)))
    monkeypatch.setattr(logs, "warn", lambda message, **fields: told.append((message, fields)))
    return told


@pytest.fixture
def cluster() -> InlineCluster:
    return InlineCluster(RayConfig())


@pytest.fixture
def monitor(tmp_path: Path, cluster: InlineCluster, lines: list[Line]) -> Iterator[RunMonitor]:
    with RunMonitor(RunRecord("backfill", BreakerConfig(), str(tmp_path)), Backlog()) as monitor:
        monitor.begin(cluster, {"bundle": "b"})
        lines.clear()
        yield monitor
        monitor.finish({})


def tell(monitor: RunMonitor, tag: Tag, value: Any = None, cause: Cause | None = None) -> None:
    failure = None if cause is None else "why"
    monitor.ended(Outcome(Call(open_video, (), tag), value, failure, 1, cause), tag)


def test_every_call_of_a_walk_has_its_line(monitor: RunMonitor, lines: list[Line]) -> None:
    work = Working(OpenVideo(VIDEO, TIMELINE, iter(()), frozenset()), (0, 30))
    tell(monitor, Opening(VIDEO), Opened(TIMELINE, frozenset({(30, 60)})))
    tell(monitor, work, {"busy_s": 1.234, "cubes": 7})
    tell(monitor, work, cause=Cause.WORKER)
    tell(monitor, Closing(VIDEO), {"failure": None, "events": 2})
    tell(monitor, Closing(VIDEO), {"failure": "half of it"})
    tell(monitor, Opening(VIDEO), cause=Cause.INPUT)
    about = {"video": VIDEO.id}
    assert lines == [
        ("video opened", {**about, "frames": 60, "shards_found": 1}),
        ("shard done", {**about, "shard": (0, 30), "cubes": 7, "seconds": 1.23}),
        ("shard failed", {**about, "shard": (0, 30), "reason": "why", "tries": 1}),
        ("video finished", {**about, "events": 2}),
        ("video failed", {**about, "reason": "half of it"}),
        ("video cannot be opened", {**about, "reason": "why", "tries": 1}),
    ]
    assert (monitor.counts.shards_failed, monitor.counts.finished) == (1, 2)


def test_a_call_that_was_taken_back_is_not_told_of(monitor: RunMonitor, lines: list[Line]) -> None:
    tell(monitor, Closing(VIDEO), cause=Cause.DROPPED)
    assert lines == []
    assert monitor.counts.finished == 0


@pytest.mark.parametrize(
    ("call", "about"),
    [
        (Call(open_video, (), Opening(VIDEO)), {"video": VIDEO.id}),
        (Call(compact, (), ("gate", "2026-11-24")), {"call": "compact"}),
    ],
    ids=["of the walk", "of what comes after it"],
)
def test_a_retry_is_told_of_whatever_it_is_of(
    call: Call, about: dict[str, Any], monitor: RunMonitor, cluster: InlineCluster, lines: list[Line]
) -> None:
    cluster.on_retry(call, "its worker died", 1)
    assert lines == [("tried again", {**about, "reason": "its worker died", "tries": 1})]


def test_the_record_says_what_was_counted(tmp_path: Path, cluster: InlineCluster, lines: list[Line]) -> None:
    record = RunRecord("backfill", BreakerConfig(), str(tmp_path))
    with RunMonitor(record, Backlog()) as monitor:
        monitor.begin(cluster, {"bundle": "b"})
        monitor.counts.add({"frames": 7, "busy_s": 0.5})
        monitor.counts.fail(VIDEO.id, "why")
        monitor.finish({"joined_days": 1})
    row = read_json(str(tmp_path / "runs" / f"{record.id}.json"))
    assert (row["status"], row["frames"], row["worker_busy_s"], row["failures"]) == ("finished", 7, 0.5, 1)
    assert (row["joined_days"], row["workers"]) == (1, 1)
