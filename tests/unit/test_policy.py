"""What follows from each error, and when so much fails that the run ends."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from ray.exceptions import NodeDiedError, OutOfMemoryError, RuntimeEnvSetupError, WorkerCrashedError
from s3fs.errors import translate_boto_error

from hf2vad.cluster.policy import LONGEST_PAUSE_SECONDS, Cause, cause_of, describe, ending, pause
from hf2vad.cluster.stop import Stop, StopReason
from hf2vad.errors import (
    AccessDeniedError,
    BreakerError,
    BucketNotFoundError,
    ConfigError,
    DispatchError,
    Hf2vadError,
    MismatchError,
    NotFoundError,
    StorageError,
    StorageFullError,
    VideoDeniedError,
    VideoError,
)
from hf2vad.storage import local, s3
from hf2vad.walk.breaker import Breaker
from hf2vad.walk.settings import BreakerConfig


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (VideoError("a.mp4: no frame"), Cause.INPUT),
        (NotFoundError("a.mp4: gone"), Cause.INPUT),
        (ZeroDivisionError("nobody foresaw it"), Cause.INPUT),
        (StorageError("s3://a: 503"), Cause.STORAGE),
        (AccessDeniedError("s3://a: denied"), Cause.RUN),
        (VideoDeniedError("a.mp4: s3://a: denied"), Cause.DENIED),
        (BucketNotFoundError("s3://a: no such bucket"), Cause.RUN),
        (StorageFullError("/a: no space"), Cause.RUN),
        (MismatchError("other cubes"), Cause.RUN),
        (ConfigError("setting"), Cause.RUN),
        (WorkerCrashedError(), Cause.WORKER),
        (OutOfMemoryError("too much"), Cause.WORKER),
        (MemoryError(), Cause.WORKER),
        (NodeDiedError("gone"), Cause.NODE),
        (RuntimeEnvSetupError("no such package"), Cause.RUN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_has_its_cause(error: BaseException, cause: Cause) -> None:
    assert cause_of(error) is cause
    assert "\n" not in describe(error)
    if cause is Cause.RUN:
        assert isinstance(ending(error), Hf2vadError)


def test_what_ray_cannot_do_ends_the_run_as_an_error_of_ours() -> None:
    assert isinstance(ending(RuntimeEnvSetupError("no such package")), DispatchError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchBucket", BucketNotFoundError),
        ("NoSuchKey", NotFoundError),
        ("AccessDenied", AccessDeniedError),
        ("InvalidObjectState", NotFoundError),
        ("SlowDown", StorageError),
        ("InternalError", StorageError),
    ],
)
def test_what_s3_says_becomes_the_error_that_says_what_follows(code: str, kind: type[Exception]) -> None:
    said = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")
    with pytest.raises(StorageError) as caught, s3.mapped("s3://bucket/key"):
        raise translate_boto_error(said)
    assert type(caught.value) is kind


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_to_make_room(number: int) -> None:
    with (
        pytest.raises(StorageFullError, match=r"/out/a: cannot be written: .*; make room and run again"),
        local.mapped("/out/a"),
    ):
        raise OSError(number, os.strerror(number))


def test_only_storage_is_waited_for_and_not_for_ever() -> None:
    assert pause(Cause.WORKER, 1) == pause(Cause.NODE, 3) == 0
    assert 2.5 <= pause(Cause.STORAGE, 1) <= 5
    assert 5 <= pause(Cause.STORAGE, 2) <= 10
    assert pause(Cause.STORAGE, 30) <= LONGEST_PAUSE_SECONDS


def fail(breaker: Breaker, count: int, cause: Cause, *, video: str = "") -> None:
    for number in range(count):
        breaker.failed(video or f"{number}.mp4", cause, "why")


@pytest.mark.parametrize("cause", [Cause.WORKER, Cause.NODE, Cause.STORAGE])
def test_twenty_calls_lost_to_the_machinery_end_the_run(cause: Cause) -> None:
    breaker = Breaker(BreakerConfig())
    fail(breaker, 19, cause)
    with pytest.raises(BreakerError, match=r"20 of the last 20 calls .* with: why; .*--breaker\.calls 0"):
        breaker.failed("last.mp4", cause, "why")


def test_of_twenty_calls_one_may_succeed_but_not_two() -> None:
    breaker = Breaker(BreakerConfig())
    breaker.succeeded()
    fail(breaker, 18, Cause.STORAGE)
    with pytest.raises(BreakerError, match="19 of the last 20"):
        breaker.failed("last.mp4", Cause.STORAGE, "why")
    breaker = Breaker(BreakerConfig())
    for _ in range(30):
        breaker.succeeded()
        fail(breaker, 9, Cause.STORAGE)


def test_two_hundred_corrupt_videos_in_a_row_do_not_end_the_run_and_three_hundred_do() -> None:
    breaker = Breaker(BreakerConfig())
    fail(breaker, 299, Cause.INPUT)
    with pytest.raises(BreakerError, match=r"300 of the last 300 .*--breaker\.videos 0"):
        breaker.failed("last.mp4", Cause.INPUT, "why")


@pytest.mark.parametrize("cause", [Cause.INPUT, Cause.WORKER])
def test_one_video_with_many_bad_shards_counts_once(cause: Cause) -> None:
    breaker = Breaker(BreakerConfig())
    fail(breaker, 10_000, cause, video="long.mp4")


def test_each_breaker_can_be_switched_off() -> None:
    breaker = Breaker(BreakerConfig(calls=0, videos=0))
    fail(breaker, 1000, Cause.STORAGE)
    fail(breaker, 1000, Cause.INPUT)


@pytest.mark.parametrize("settings", [{"calls": -1}, {"videos": -1}, {"share": 0.0}, {"share": 1.1}])
def test_settings_of_the_breaker_that_make_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"breaker\.{next(iter(settings))} must"):
        BreakerConfig(**settings)  # type: ignore[arg-type]


@pytest.fixture
def before() -> Iterator[object]:
    handler = signal.getsignal(signal.SIGTERM)
    yield handler
    assert signal.getsignal(signal.SIGTERM) == handler


def test_the_first_sigterm_tells_to_stop_and_the_second_to_drop(before: object) -> None:
    with Stop(grace_seconds=60) as stop:
        assert not stop.signalled
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.signalled, stop.overdue) == (True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.overdue


def test_when_the_grace_period_is_over_what_runs_is_dropped(before: object) -> None:
    with Stop(grace_seconds=0) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.overdue


def test_a_handler_that_came_in_between_is_replaced_again(before: object) -> None:
    with Stop() as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as ray.init does with one of its own
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signalled


def test_a_stop_has_every_reason_to_start_no_more_and_only_sigterm_knows_haste() -> None:
    holds = {StopReason.LEASE: False, StopReason.TIME: False}
    conditions = {reason: (lambda reason=reason: holds[reason]) for reason in holds}
    with Stop(grace_seconds=0, conditions=conditions) as stop:
        assert stop.reason is None
        holds[StopReason.TIME] = True
        assert (stop.reason, stop.signalled, stop.overdue) == (StopReason.TIME, False, False)
        holds[StopReason.LEASE] = True
        assert stop.reason is StopReason.LEASE
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.reason, stop.signalled, stop.overdue) == (StopReason.SIGTERM, True, True)
