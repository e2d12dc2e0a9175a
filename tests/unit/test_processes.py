"""Worker processes of this machine: what takes the place of Ray where there is nothing to share out but processors."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.cluster import dispatch, retries
from hf2vad.cluster.dispatch import Call, Outcome, open_cluster
from hf2vad.cluster.policy import Cause
from hf2vad.cluster.processes import ProcessCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.demo.archive import generate
from hf2vad.errors import DispatchError, StorageFullError
from hf2vad.jobs import load
from tests.calls import busy, die, fail, fail_times, note
from tests.site import ROOT, tables, wait_until


@pytest.fixture
def cluster() -> Iterator[ProcessCluster]:
    with ProcessCluster(RayConfig(workers=2)) as opened:
        yield opened


def outcome(cluster: ProcessCluster, function: Callable[..., object], *args: object) -> Outcome:
    cluster.submit(Call(function, args, None))
    return cluster.wait()


def workers(parent: int) -> list[int]:
    """Worker processes that `parent` has started."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_worker_of(pid, parent)]


def _is_worker_of(pid: int, parent: int) -> bool:
    with contextlib.suppress(OSError):  # it may end while it is looked at
        state, ppid = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()  # for a moment empty, when it has just been started
        return int(ppid) == parent and state != "Z" and (not command or b"hf2vad.cluster.process_worker" in command)
    return False


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_calls_are_made_by_other_processes_which_stay(cluster: ProcessCluster, tmp_path: Path) -> None:
    pids = {outcome(cluster, note, str(tmp_path / "marks")).value for _ in range(4)}
    assert os.getpid() not in pids
    assert pids <= set(workers(os.getpid()))
    assert len(pids) == 1, "a worker that is free is given the next call"


def test_one_worker_more_than_there_are_calls_is_kept_ready_and_no_more_than_are_wanted(tmp_path: Path) -> None:
    with ProcessCluster(RayConfig(workers=3)) as cluster:
        assert workers(os.getpid()) == []
        for number, expected in enumerate((2, 3, 3), 1):
            cluster.submit(Call(busy, (str(tmp_path),), number))
            assert len(workers(os.getpid())) == expected
        left = workers(os.getpid())
    assert not any(map(lives, left)), "they end with the cluster, whatever they are at"


@pytest.mark.parametrize(
    ("kind", "cause", "failure", "tries"),
    [
        ("VideoError", Cause.INPUT, "no luck", 1),
        ("ZeroDivisionError", Cause.INPUT, "ZeroDivisionError: no luck", 1),
        ("StorageError", Cause.STORAGE, "no luck, 3 times", 3),
        ("MemoryError", Cause.WORKER, "its worker ran out of memory; give it --ray.memory-gib, or take", 3),
    ],
)
def test_failures_are_classed_and_retried_as_on_ray(
    kind: str, cause: Cause, failure: str, tries: int, cluster: ProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "pause", lambda cause, tries: 0.01)
    ended = outcome(cluster, fail, kind)
    assert (ended.value, ended.cause, ended.tries) == (None, cause, tries)
    assert (ended.failure or "").startswith(failure)


def test_what_every_call_would_meet_ends_the_run(cluster: ProcessCluster) -> None:
    with pytest.raises(StorageFullError, match="no luck"):
        outcome(cluster, fail, "StorageFullError")


def test_an_error_that_cannot_be_pickled_is_told_all_the_same(cluster: ProcessCluster) -> None:
    ended = outcome(cluster, json.loads, "{")
    assert (ended.cause, ended.failure) == (
        Cause.INPUT,
        "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    )
    ended = outcome(cluster, exec, "class Own(Exception): pass\nraise Own('here')")
    assert ended.failure == "RuntimeError: Own: here"


def test_what_kills_its_worker_is_tried_on_another_and_then_fails(cluster: ProcessCluster, tmp_path: Path) -> None:
    ended = outcome(cluster, die, str(tmp_path / "pids"))
    assert (ended.cause, ended.failure) == (Cause.WORKER, "its worker died (SIGKILL), 3 times")
    assert len(set((tmp_path / "pids").read_text().split())) == 3
    assert cluster.retried == 2
    assert outcome(cluster, fail_times, str(tmp_path / "marks"), 0, "").value == "well again"


def test_a_worker_that_died_without_a_call_is_replaced_and_nobody_pays(cluster: ProcessCluster, tmp_path: Path) -> None:
    killed = outcome(cluster, note, str(tmp_path / "marks")).value
    os.kill(killed, signal.SIGKILL)
    for other in set(workers(os.getpid())) - {killed}:
        os.kill(other, signal.SIGKILL)
    wait_until(lambda: cluster.poll(0.1) is None and not workers(os.getpid()), seconds=60, what="their end")
    ended = outcome(cluster, note, str(tmp_path / "marks"))
    assert (ended.failure, ended.tries) == (None, 1)
    assert ended.value != killed


def test_what_has_begun_can_be_interrupted_and_cleans_up_and_what_has_not_never_begins(tmp_path: Path) -> None:
    with ProcessCluster(RayConfig(workers=1)) as cluster:
        cluster.submit(Call(busy, (str(tmp_path),), "busy"))
        cluster.submit(Call(note, (str(tmp_path / "marks"),), "note"))
        wait_until((tmp_path / "begun").exists, seconds=60, what="the call's begin")
        cluster.take_back()
        assert (dropped := cluster.wait()).cause is Cause.DROPPED
        assert dropped.call.tag == "note"
        assert cluster.poll(0.2) is None, "it has begun"
        cluster.take_back(begun=True)
        assert cluster.wait().cause is Cause.DROPPED
        assert (tmp_path / "cleaned").exists()
        assert outcome(cluster, os.getpid).value in workers(os.getpid()), "the worker lives on"
        assert not (tmp_path / "marks").exists()


DRIVER = """
import sys
from hf2vad.cluster.dispatch import Call
from hf2vad.cluster.processes import ProcessCluster
from hf2vad.cluster.settings import RayConfig
from tests.calls import busy
cluster = ProcessCluster(RayConfig(workers=2))
cluster.submit(Call(busy, (sys.argv[1],), None))
cluster.wait()
"""


def test_workers_end_with_their_driver_however_it_ends(tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT)
    wait_until((tmp_path / "begun").exists, seconds=60, what="the call's begin")
    left = workers(driver.pid)
    assert len(left) == 2
    driver.kill()
    driver.wait()
    wait_until(lambda: not any(map(lives, left)), seconds=60, what="the workers' end")


def test_a_machine_too_small_for_one_call_says_what_to_lower() -> None:
    with pytest.raises(DispatchError, match=r"a worker needs 9999.0 CPUs, this machine has .*lower --ray\.cpus"):
        ProcessCluster(RayConfig(cpus=9999.0))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray cluster, and no GPU."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delitem(sys.modules, "ray", raising=False)


@pytest.mark.usefixtures("alone")
def test_where_no_cluster_is_named_the_work_is_done_by_processes_and_ray_starts_for_gpus_and_memory() -> None:
    with open_cluster(RayConfig(), use_gpu=True) as cluster:
        assert isinstance(cluster, ProcessCluster)
    for config in (RayConfig(address="local"), RayConfig(gpus=0.5), RayConfig(memory_gib=1.0)):
        assert not dispatch.needs_no_ray(config, use_gpu=False)


SHOW = "import sys; print([name for name in ('torch', 'scipy', 'pandas', 'sklearn', 'ray') if name in sys.modules])"
DRIVE = f"from hf2vad.__main__ import main; assert main() == 0; {SHOW}"
WORK = f"import hf2vad.walk.worker, hf2vad.tasks.extraction, hf2vad.tasks.scoring, hf2vad.engines.request; {SHOW}"


def test_features_are_scored_without_the_imports_that_take_seconds_with_the_same_tables(tmp_path: Path) -> None:
    made = generate(tmp_path / "archive", train_clips=1, test_clips=1, frames=60)
    stc, bundle, here = (str(tmp_path / name) for name in ("stc", "bundle", "here"))
    one = ("--ray.address", "none")
    assert load("extract").main(["--archive", str(made.train), "--out", stc, "--preset", "features", *one]) == 0
    assert load("train").main(["--stc", stc, "--out", bundle, "--preset", "features", "--threads", "1"]) == 0
    score = ("--archive", str(made.test), "--bundle", bundle, "--shard-frames", "20")
    assert load("score").main([*score, "--out", here, *one]) == 0
    there = tmp_path / "there"
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}

    def imported(*command: str) -> str:
        """What the last line of a job's process says."""
        ran = subprocess.run(
            [sys.executable, "-c", DRIVE, *command],
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()[-1]

    assert imported("score", *score, "--out", str(there), "--ray.workers", "2") == "[]", "the driver"
    assert tables(there) == tables(tmp_path / "here")
    (record,) = (json.loads(path.read_text()) for path in there.glob("runs/*.json"))
    assert (record["workers"], record["shards"], record["retried"], record["gpus_per_worker"]) == (2, 3, 0, 0)
    worker = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert worker.stdout.strip() == "[]", "a worker"
    shown = ("--scores", here, "--out", str(tmp_path / "site"), "--archive", str(made.test), "--bundle", bundle)
    assert imported("report", *shown) == "[]", "reasons of features run no network"
    assert list((tmp_path / "site" / "events").glob("*/flow.png")), "and there were reasons to show"
    again = ("--out", str(tmp_path / "again"), "--preset", "features")
    loaded = imported("train", "--stc", stc, *again)
    assert "torch" not in loaded
    assert "sklearn" in loaded, "clusters are scikit-learn's"
    assert load_bundle_settings(str(tmp_path / "again")).id == load_bundle_settings(bundle).id


def test_a_command_and_its_table_need_no_pandas_and_to_pandas_is_there_all_the_same(tmp_path: Path) -> None:
    code = "import sys; from hf2vad.__main__ import main; import pyarrow as pa; code = main(); "
    code += f"a = pa.array([1.5]); {SHOW}; print(code, a.to_pandas().sum())"
    made = generate(tmp_path / "archive", train_clips=1, test_clips=0, frames=8)
    stc = ("extract", made.train, "--out", tmp_path / "stc", "--preset", "features", "--ray.address", "none")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, stc)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded, rest = done.stdout.splitlines()[-2:]
    assert "pandas" not in loaded
    assert rest == "0 1.5"
