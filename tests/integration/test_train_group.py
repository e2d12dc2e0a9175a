"""Training by two workers: the same loss as by one, and what happens when workers and drivers are stopped and killed.

One training is stopped, its next driver is killed, and of the next group a worker: each is a fixture that goes on from
what the one before left. What comes out in the end is what two workers train that nobody disturbs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from hf2vad.errors import Hf2vadError
from hf2vad.storage import list_files, put_bytes, read_bytes, read_json
from tests.seaweed import SeaweedServer
from tests.site import RayCluster, environment, job, meanwhile, ray_workers, run_job, upload, wait_until
from tests.stc import put_clip

EPOCHS = 8
"""Of the first stage, in which everything happens."""

SMALL = (
    "--preset=compact_eq9",
    "--model.flow-root=4",
    "--model.slots=8",
    *("--model.cvae-widths", "8", "16", "16", "16"),
    "--training.batch=24",
    f"--training.flow.epochs={EPOCHS}",
    "--training.frame.epochs=1",
    "--threads=1",
    "--training.window=64",
)
TRAIN_WORKER = "RayTrainWorker"
PATIENCE_S = 240
"""A busy machine takes its time to start a group."""
S3_TABLE, S3_BUNDLE = "s3://group/stc", "s3://group/bundle"

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")]
"""Ray Train configures a part of Ray that warns of it."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("group") / "stc"
    for number in range(4):
        put_clip(folder, f"{number}", (0, 60), {10: 30, 20: 30}, seed=number, rows=32)
    return folder


def train(table: object, out: object, *more: object) -> list[str]:
    return job("train", "--stc", table, "--out", out, *SMALL, *more)


def history(out: object) -> list[dict[str, Any]]:
    """The records of a bundle's epochs, without times."""
    records = read_json(f"{out}/bundle.json")["provenance"]["history"]
    return [{k: v for k, v in record.items() if k not in ("seconds", "samples_per_s")} for record in records]


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Records agree; the means of an epoch that was stopped midway were added up in other groups of batches."""
    for one, other in zip(ours, theirs, strict=True):
        means = {name for name, value in other.items() if isinstance(value, float)}
        assert {name: one[name] for name in means} == pytest.approx({name: other[name] for name in means}, rel=1e-6)
        assert {**one, **dict.fromkeys(means)} == {**other, **dict.fromkeys(means)}


def progress(out: object) -> dict[str, Any]:
    """How far the checkpoint says that training has come."""
    data = read_bytes(f"{out}/checkpoints/last.safetensors")
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"]["hf2vad"])["progress"]
    return found


def epochs_done(out: object) -> int:
    """Epochs that the checkpoint says are done, in all stages."""
    with contextlib.suppress(Hf2vadError):
        return len(progress(out)["history"])
    return 0


def rank_one() -> int:
    """Process id of the second worker: the first one also serves the group's store, in a thread of its own."""
    (found,) = [
        pid
        for pid in ray_workers(TRAIN_WORKER)
        if not any("tcpstore" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/comm"))
    ]
    return found


@pytest.fixture(scope="module")
def undisturbed(table: Path, ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers train that nobody disturbs."""
    out = tmp_path_factory.mktemp("undisturbed")
    run_job("train", "--stc", table, "--out", out, *SMALL, "--workers", 2)
    return out


@dataclass(frozen=True)
class Disturbed:
    """A training after its driver was stopped or killed."""

    said: str
    """What the driver wrote on stderr; empty where it was killed."""
    progress: dict[str, Any]
    """What the checkpoint held then."""
    copy: Path
    """The output folder as it was then."""


def signalled(out: Path, table: object, *more: object, how: signal.Signals) -> tuple[int, str]:
    """Train by two workers without end, and send the driver a signal once an epoch is done; its exit code, and what it
    wrote on stderr."""
    command = train(table, out, "--workers", 2, "--training.flow.epochs", 500, *more)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=environment()) as running:
        wait_until(lambda: epochs_done(out) >= 1, seconds=PATIENCE_S, what="an epoch")
        running.send_signal(how)
        _, said = running.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=PATIENCE_S, what="the workers' end")
    return running.returncode, said


def terminated_after_an_epoch(out: object, over: threading.Event) -> None:
    """Send this process SIGTERM once an epoch is done; not where the training is over before."""
    wait_until(lambda: epochs_done(out) or over.is_set(), seconds=PATIENCE_S, what="an epoch")
    if not over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def copied(copy: Path, said: str = "") -> Disturbed:
    """The training as it is in S3 now; `said`: by the driver that left it."""
    for entry in list_files(S3_BUNDLE):
        put_bytes(str(copy / entry.name), read_bytes(entry.uri))
    return Disturbed(said, progress(S3_BUNDLE), copy)


@pytest.fixture(scope="module")
def stopped(
    table: Path, s3: SeaweedServer, ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> Disturbed:
    """A training that was told to stop."""
    upload(table, S3_TABLE)
    with meanwhile(lambda over: terminated_after_an_epoch(S3_BUNDLE, over)):
        done = run_job("train", "--stc", S3_TABLE, "--out", S3_BUNDLE, *SMALL, "--workers", 2, expect=143)
    return copied(tmp_path_factory.mktemp("stopped"), done.stderr)


@pytest.fixture(scope="module")
def orphaned(stopped: Disturbed, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    """The same training, gone on with in a process that is killed."""
    epochs = len(stopped.progress["history"]) + 1
    command = train(S3_TABLE, S3_BUNDLE, "--workers", 2)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet, env=environment()) as running:
        wait_until(lambda: epochs_done(S3_BUNDLE) >= epochs, seconds=PATIENCE_S, what=f"epoch {epochs}")
        running.kill()
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=PATIENCE_S, what="the workers' end")
    return copied(tmp_path_factory.mktemp("orphaned"))


def test_two_workers_reach_the_loss_of_one(table: Path, undisturbed: Path, tmp_path: Path) -> None:
    run_job("train", "--stc", table, "--out", tmp_path, *SMALL)
    one, two = history(tmp_path), history(undisturbed)
    assert [(r["stage"], r["epoch"], r["lr"]) for r in one] == [(r["stage"], r["epoch"], r["lr"]) for r in two]
    for alone, together in zip(one, two, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=0.05)
    assert one[EPOCHS - 1]["loss"] < 0.9 * one[0]["loss"], "there was something to learn"
    assert one != two, "the two runs took other batches"


def test_told_to_stop_all_stop_after_the_same_step(stopped: Disturbed, undisturbed: Path) -> None:
    place = r"\(stage (\w+), epoch (\d), batch (\d+|the last)\)"
    word = f"stopped: a checkpoint is written {place}; run the same command again to go on\n"
    found = re.fullmatch(word, stopped.said)
    assert found, stopped.said
    stage, epoch, batch = found.groups()
    left = stopped.progress
    if batch == "the last":
        assert (left["history"][-1]["stage"], left["history"][-1]["epoch"]) == (stage, int(epoch))
    else:
        assert (left["epoch"], left["batch"]) == (int(epoch) - 1, int(batch))
    assert len(left["history"]) < len(history(undisturbed)), "it was stopped before the end"


def test_what_a_killed_driver_left_is_gone_on_from_by_one(
    table: Path, orphaned: Disturbed, undisturbed: Path, tmp_path: Path
) -> None:
    done = len(orphaned.progress["history"])
    assert done < EPOCHS, "it was killed within the first stage"
    shutil.copytree(orphaned.copy, tmp_path / "out")
    run_job("train", "--stc", table, "--out", tmp_path / "out", *SMALL)
    ours, theirs = history(tmp_path / "out"), history(undisturbed)
    assert_same(ours[:done], theirs[:done])
    for alone, together in zip(ours, theirs, strict=True):
        assert alone["loss"] == pytest.approx(together["loss"], rel=0.05)


def test_stopped_orphaned_and_with_a_worker_killed_it_ends_at_the_same_bundle(
    orphaned: Disturbed, undisturbed: Path
) -> None:
    before, killed_after = len(orphaned.progress["history"]), []

    def kill(over: threading.Event) -> None:
        wait_until(lambda: epochs_done(S3_BUNDLE) > before or over.is_set(), seconds=PATIENCE_S, what="an epoch")
        os.kill(rank_one(), signal.SIGKILL)
        killed_after.append(epochs_done(S3_BUNDLE))

    with meanwhile(kill):
        done = run_job("train", "--stc", S3_TABLE, "--out", S3_BUNDLE, *SMALL, "--workers", 2)
    assert killed_after[0] < EPOCHS, "it was killed within the first stage"
    assert "Traceback" not in done.stderr
    assert_same(history(S3_BUNDLE), history(undisturbed))
    assert read_json(f"{S3_BUNDLE}/bundle.json")["id"] == read_json(f"{undisturbed}/bundle.json")["id"]


def test_after_the_grace_period_what_runs_is_dropped(table: Path, ray_cluster: RayCluster, tmp_path: Path) -> None:
    more = ("--workers", 2, "--training.flow.epochs", 500, "--grace-seconds", 0)
    with meanwhile(lambda over: terminated_after_an_epoch(tmp_path, over)):
        done = run_job("train", "--stc", table, "--out", tmp_path, *SMALL, *more, expect=143)
    said = "stopped: what ran was dropped; run the same command again to go on from the last checkpoint\n"
    assert done.stderr == said
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=PATIENCE_S, what="the workers' end")


def test_ctrl_c_ends_training_with_a_word(table: Path, ray_cluster: RayCluster, tmp_path: Path) -> None:
    assert signalled(tmp_path, table, how=signal.SIGINT) == (130, "interrupted; run the same command again to go on\n")


def test_a_checkpoint_holds_the_random_state_of_each_worker(undisturbed: Path) -> None:
    with safe_open(str(undisturbed / "checkpoints" / "last.safetensors"), "pt") as file:
        states = [file.get_tensor(f"rng/cpu/{rank}") for rank in range(2)]
    assert not states[0].equal(states[1])
