"""What of an archive is left, and from when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from hf2vad.archive.catalog import Video
from hf2vad.walk.backlog import HOUR, Backlog, Remaining
from tests.site import wait_until


def video(name: str, hour: float) -> Video:
    return Video(name, name, "file", "0" * 16, 1, modified=HOUR * hour + 61.0)


def listed(backlog: Backlog) -> Remaining:
    backlog.start()
    wait_until(lambda: backlog.remaining() is not None, seconds=60, what="the listing")
    left = backlog.remaining()
    assert left is not None
    return left


def test_what_has_ended_is_taken_off_and_the_oldest_hour_moves_on() -> None:
    old, older, new = video("a", 11), video("b", 10), video("c", 12)
    backlog = Backlog(lambda: iter([old, older, new]))
    assert listed(backlog) == Remaining(3, 10 * HOUR)
    for one in (older, new):
        backlog.begun(one)
    assert backlog.remaining() == Remaining(3, 10 * HOUR)
    backlog.ended(older)
    assert backlog.remaining() == Remaining(2, 11 * HOUR)
    backlog.ended(new)
    backlog.ended(new)
    assert backlog.remaining() == Remaining(1, 11 * HOUR)
    backlog.begun(old)
    backlog.ended(old)
    assert backlog.remaining() == Remaining(0, None)


def test_a_video_that_came_after_the_listing_is_not_taken_off_another_hour() -> None:
    backlog = Backlog(lambda: iter([video("a", 11)]))
    listed(backlog)
    late = video("late", 12)
    backlog.begun(late)
    backlog.ended(late)
    assert backlog.remaining() == Remaining(1, 11 * HOUR)


def test_nothing_is_said_before_all_is_listed_nor_when_that_fails() -> None:
    go = threading.Event()

    def slowly() -> Iterator[Video]:
        yield video("a", 11)
        go.wait(10)

    backlog = Backlog(slowly)
    backlog.start()
    assert backlog.remaining() is None
    go.set()
    wait_until(lambda: backlog.remaining() is not None, seconds=60, what="the listing")

    def broken() -> Iterator[Video]:
        raise OSError("gone")
        yield

    backlog = Backlog(broken)
    backlog.start()
    backlog.begun(video("a", 11))
    backlog.ended(video("a", 11))
    assert backlog.remaining() is None


def test_a_walk_that_asks_for_none_keeps_nothing() -> None:
    backlog = Backlog()
    backlog.start()
    backlog.begun(video("a", 11))
    assert backlog._begun == {}
    assert backlog.remaining() is None


def test_the_time_that_is_given_counts() -> None:
    day = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
    backlog = Backlog(lambda: iter([video("a", 11)]), lambda one: day)
    assert listed(backlog) == Remaining(1, day)
