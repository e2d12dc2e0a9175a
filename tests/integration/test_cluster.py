"""What a cluster makes of its calls: on Ray's workers and in this process alike, and where the two differ."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from hf2vad.cluster import retries
from hf2vad.cluster.dispatch import Call, Cluster, Outcome, open_cluster
from hf2vad.cluster.inline import InlineCluster
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.ray_cluster import RayCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import DispatchError, Hf2vadError
from tests.calls import busy, die, fail, fail_on_the_gpu, fail_times, modules_with_an_array, note, pass_gate
from tests.site import wait_until

pytestmark = pytest.mark.usefixtures("ray_cluster")

Open = Callable[..., Cluster]


@pytest.fixture(params=["", "none"], ids=["ray", "inline"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens a cluster with some settings."""
    with contextlib.ExitStack() as stack:

        def open_now(**settings: int) -> Cluster:
            return stack.enter_context(open_cluster(RayConfig(address=request.param, **settings)))

        yield open_now


def outcome(cluster: Cluster, function: Callable[..., object], *args: object) -> Outcome:
    cluster.submit(Call(function, args, None))
    return cluster.wait()


def outcomes(cluster: Cluster) -> dict[object, Outcome]:
    """All that are left, by tag."""
    ended = {}
    while cluster.running:
        one = cluster.wait()
        ended[one.call.tag] = one
    return ended


@pytest.mark.parametrize(
    ("kind", "cause", "failure", "tries"),
    [
        ("VideoError", Cause.INPUT, "no luck", 1),
        ("NotFoundError", Cause.INPUT, "no luck", 1),
        ("ZeroDivisionError", Cause.INPUT, "ZeroDivisionError: no luck", 1),
        ("StorageError", Cause.STORAGE, "no luck, 3 times", 3),
        ("MemoryError", Cause.WORKER, "its worker ran out of memory; give it --ray.memory-gib, or take", 3),
    ],
)
def test_a_failure_has_the_same_cause_and_as_many_tries_wherever_it_happens(
    kind: str, cause: Cause, failure: str, tries: int, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "pause", lambda cause, tries: 0.01)
    cluster = opened()
    ended = outcome(cluster, fail, kind)
    assert (ended.value, ended.cause, ended.tries) == (None, cause, tries)
    assert (ended.failure or "").startswith(failure)
    assert cluster.retried == tries - 1
    assert cluster.running == 0


@pytest.mark.parametrize("kind", ["AccessDeniedError", "StorageFullError"])
def test_what_every_call_would_meet_ends_the_run(kind: str, opened: Open) -> None:
    with pytest.raises(Hf2vadError, match="no luck") as raised:
        outcome(opened(), fail, kind)
    assert type(raised.value).__name__ == kind


def test_a_retry_waits_for_its_pause_and_is_told_of(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "pause", lambda cause, tries: 0.5)
    cluster, started, told = opened(), time.monotonic(), []
    cluster.on_retry = lambda call, failure, tries: told.append((call.tag, failure, tries))
    cluster.submit(Call(fail_times, (str(tmp_path / "marks"), 1, "StorageError"), "a"))
    ended = cluster.wait()
    assert (ended.value, ended.failure, ended.cause, ended.tries) == ("well again", None, None, 2)
    assert time.monotonic() - started >= 0.5
    assert told == [("a", "no luck", 1)]


def test_what_has_not_begun_can_be_taken_back(opened: Open, tmp_path: Path) -> None:
    cluster, gate, begun = opened(workers=1, cpus=2), tmp_path / "gate", tmp_path / "begun"
    begun.mkdir()
    for number in range(4):
        cluster.submit(Call(pass_gate, (str(gate), str(begun / f"{number}")), number))
    on_ray = isinstance(cluster, RayCluster)
    if on_ray:
        wait_until(lambda: list(begun.iterdir()), seconds=60, what="a call's begin")
    cluster.take_back(lambda call: call.tag != 2)
    gate.touch()
    ended = outcomes(cluster)
    assert sorted(ended) == [0, 1, 2, 3]
    assert ended[2].cause is None
    dropped = {number: one for number, one in ended.items() if one.cause is Cause.DROPPED}
    assert all(one.value for number, one in ended.items() if number not in dropped)
    assert all((one.value, one.failure) == (None, "taken back") for one in dropped.values())
    # Ray promises no order, so the oldest of those left need not be the one that has begun: another is interrupted.
    assert len(dropped) >= 2
    assert sum((begun / str(number)).exists() for number in dropped) <= (1 if on_ray else 0)


def test_a_call_that_waits_for_its_retry_holds_up_no_other_and_can_be_taken_back(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "pause", lambda cause, tries: 600.0)
    cluster = opened()
    cluster.submit(Call(fail, ("StorageError",), "a"))
    wait_until(lambda: cluster.poll(0.1) or cluster.retried, seconds=60, what="a retry")
    cluster.submit(Call(note, (str(tmp_path / "others"),), "b"))
    assert cluster.wait().call.tag == "b"
    assert cluster.poll(0) is None
    cluster.take_back()
    assert cluster.wait().cause is Cause.DROPPED


def test_calls_in_this_process_are_made_one_by_one_in_their_order_when_they_are_polled_for(tmp_path: Path) -> None:
    cluster, path = InlineCluster(RayConfig(address="none")), tmp_path / "marks"
    for tag in "abc":
        cluster.submit(Call(note, (str(path),), tag))
    assert not path.exists()
    for number, tag in enumerate("abc", 1):
        ended = cluster.poll()
        assert ended is not None
        assert (ended.call.tag, ended.value, path.stat().st_size) == (tag, os.getpid(), number)
    assert cluster.poll(0) is None


def test_an_interrupt_passes_through_and_leaves_the_rest(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    cluster = InlineCluster(RayConfig(address="none"))
    cluster.submit(Call(interrupted, (), None))
    cluster.submit(Call(note, (str(tmp_path / "marks"),), None))
    with pytest.raises(KeyboardInterrupt):
        cluster.poll()
    assert cluster.running == 1
    assert not (tmp_path / "marks").exists()


def test_a_failed_gpu_of_this_process_ends_the_run_and_one_without_memory_does_not() -> None:
    cluster = InlineCluster(RayConfig(address="none", retries=1))
    ended = outcome(cluster, fail_on_the_gpu, "OutOfMemoryError", "CUDA out of memory.", os.devnull)
    assert (ended.cause, ended.tries) == (Cause.WORKER, 2)
    assert "take a smaller --batch" in (ended.failure or "")
    with pytest.raises(DispatchError, match=r"its GPU failed \(CUDA error: an illegal .*run the same command again"):
        outcome(cluster, fail_on_the_gpu, "AcceleratorError", "CUDA error: an illegal memory access", os.devnull)


def test_memory_that_was_short_is_free_when_the_call_is_tried_again() -> None:
    class Large:
        pass

    held: list[object] = []

    def short_of_memory() -> bool:
        if held and held[0]() is None:  # type: ignore[operator]
            return True
        large = Large()
        held[:] = [weakref.ref(large)]
        raise MemoryError

    ended = outcome(InlineCluster(RayConfig(address="none")), short_of_memory)
    assert (ended.value, ended.tries) == (True, 2)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_what_kills_its_worker_is_tried_on_another_and_then_fails(tmp_path: Path) -> None:
    cluster = RayCluster(RayConfig(), use_gpu=False)
    ended = outcome(cluster, die, str(tmp_path / "pids"))
    assert (ended.cause, ended.failure) == (Cause.WORKER, "its worker died (WorkerCrashedError), 3 times")
    assert len(set((tmp_path / "pids").read_text().split())) == 3
    assert cluster.retried == 2


def test_where_the_gpu_fails_the_worker_ends_and_the_shard_is_tried_on_another(tmp_path: Path) -> None:
    cluster, pids = RayCluster(RayConfig(retries=1), use_gpu=False), tmp_path / "pids"
    message = "CUDA error: an illegal memory access was encountered"
    ended = outcome(cluster, fail_on_the_gpu, "AcceleratorError", message, str(pids))
    assert (ended.cause, ended.failure) == (Cause.WORKER, f"its GPU failed ({message}), 2 times")
    tried = set(map(int, pids.read_text().split()))
    assert len(tried) == 2
    wait_until(lambda: not any(map(lives, tried)), seconds=60, what="both workers' end")
    assert outcome(cluster, os.getpid).value not in tried


def test_no_other_call_pays_for_the_worker_that_ends_with_its_gpu(tmp_path: Path) -> None:
    """Calls wait for workers, so the failed one is given the next call, which has no retry to spend."""
    cluster = RayCluster(RayConfig(retries=0), use_gpu=False)
    cluster.submit(Call(fail, ("RuntimeError", "CUDA error: unspecified launch failure"), "gpu"))
    for number in range(8):
        cluster.submit(Call(note, (str(tmp_path / "marks"), 0.3), number))
    ended = outcomes(cluster)
    gpu = ended.pop("gpu")
    assert (gpu.cause, gpu.failure) == (
        Cause.WORKER,
        "its GPU failed (CUDA error: unspecified launch failure), 1 times",
    )
    assert [(one.failure, one.tries) for one in ended.values()] == [(None, 1)] * 8
    assert (tmp_path / "marks").stat().st_size == 8
    assert cluster.retried == 0


def test_where_the_gpu_has_no_memory_left_the_worker_goes_on(tmp_path: Path) -> None:
    cluster, pids = RayCluster(RayConfig(retries=1), use_gpu=False), tmp_path / "pids"
    ended = outcome(cluster, fail_on_the_gpu, "OutOfMemoryError", "CUDA out of memory.", str(pids))
    assert ended.cause is Cause.WORKER
    assert ended.failure is not None
    assert "no memory was left on its GPU (CUDA out of memory.); take a smaller --batch" in ended.failure
    assert ended.failure.endswith("2 times")
    assert all(map(lives, map(int, pids.read_text().split())))


def test_a_call_that_has_begun_can_be_interrupted_and_cleans_up(tmp_path: Path) -> None:
    cluster = RayCluster(RayConfig(workers=1), use_gpu=False)
    cluster.submit(Call(busy, (str(tmp_path),), None))
    wait_until((tmp_path / "begun").exists, seconds=60, what="the call's begin")
    cluster.take_back()
    assert cluster.poll(0.5) is None, "it has begun"
    cluster.take_back(begun=True)
    assert cluster.wait().cause is Cause.DROPPED
    wait_until((tmp_path / "cleaned").exists, seconds=30, what="its cleaning up")


def test_a_cluster_too_small_for_one_call_says_what_to_lower() -> None:
    with pytest.raises(DispatchError, match=r"a worker needs 99.0 CPUs.*lower --ray\.cpus"):
        RayCluster(RayConfig(cpus=99.0), use_gpu=False)


def test_a_worker_of_ray_needs_no_pandas() -> None:
    with open_cluster(RayConfig()) as cluster:
        loaded = outcome(cluster, modules_with_an_array).value
    assert {"pyarrow", "numpy"} <= loaded
    assert "pandas" not in loaded
