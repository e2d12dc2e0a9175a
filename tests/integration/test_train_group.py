"""Training by two workers: the same loss as by one, and what happens when workers and drivers are killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from hf2vad.errors import Hf2vadError
from hf2vad.storage import read_bytes, read_json
from tests.seaweed import SeaweedServer
from tests.site import RayCluster, environment, job, ray_workers, run_process, upload, wait_until
from tests.stc import put_clip

SMALL = (
    "--preset=compact_eq9",
    "--model.flow-root=4",
    "--model.slots=8",
    *("--model.cvae-widths", "8", "16", "16", "16"),
    "--training.batch=32",
    "--training.flow.epochs=6",
    "--training.frame.epochs=1",
    "--threads=1",
    "--training.window=64",
)
TRAIN_WORKER = "RayTrainWorker"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("group") / "stc"
    for number in range(4):
        put_clip(folder, f"{number}", (0, 60), {10: 60, 20: 68}, seed=number, rows=32)
    return folder


def train(table: object, out: object, *more: object) -> list[str]:
    return job("train", "--stc", table, "--out", out, *SMALL, *more)


def history(out: object) -> list[dict[str, Any]]:
    """The records of a bundle's epochs, without times."""
    records = read_json(f"{out}/bundle.json")["provenance"]["history"]
    return [{k: v for k, v in record.items() if k not in ("seconds", "samples_per_s")} for record in records]


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
    run_process("train", "--stc", table, "--out", out, *SMALL, "--workers", 2)
    return out


def test_two_workers_reach_the_loss_of_one(table: Path, undisturbed: Path, tmp_path: Path) -> None:
    run_process("train", "--stc", table, "--out", tmp_path, *SMALL)
    one, two = history(tmp_path), history(undisturbed)
    assert [(r["stage"], r["epoch"], r["lr"]) for r in one] == [(r["stage"], r["epoch"], r["lr"]) for r in two]
    for alone, together in zip(one, two, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=0.05)
    assert one[5]["loss"] < 0.9 * one[0]["loss"], "there was something to learn"
    assert one != two, "the two runs took other batches"


def test_a_killed_worker_costs_nothing_but_time(table: Path, undisturbed: Path, s3: SeaweedServer) -> None:
    upload(table, "s3://group/stc")
    out = "s3://group/bundle"
    command = train("s3://group/stc", out, "--workers", 2)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running:
        wait_until(lambda: epochs_done(out) >= 2, seconds=120, what="two epochs")
        os.kill(rank_one(), signal.SIGKILL)
        done = epochs_done(out)
        output = running.communicate(timeout=180)
    assert running.returncode == 0, output
    assert 2 <= done < 6, "it was killed within the first stage"
    assert history(out) == history(undisturbed)
    assert b"Traceback" not in output[1]


def test_what_a_killed_driver_left_is_gone_on_from_by_as_many_workers_and_by_one(
    table: Path, undisturbed: Path, tmp_path: Path
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    command = train(table, first, "--workers", 2)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as running:
        wait_until(lambda: epochs_done(first) >= 2, seconds=120, what="two epochs")
        running.kill()
        running.wait()
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=60, what="the orphaned workers' end")
    done = epochs_done(first)
    assert 2 <= done < 6
    shutil.copytree(first, copy)
    run_process("train", "--stc", table, "--out", first, *SMALL, "--workers", 2)
    assert history(first) == history(undisturbed)
    run_process("train", "--stc", table, "--out", copy, *SMALL)
    ours, theirs = history(copy), history(undisturbed)
    assert ours[:done] == theirs[:done]
    for alone, together in zip(ours, theirs, strict=True):
        assert alone["loss"] == pytest.approx(together["loss"], rel=0.05)


def test_told_to_stop_all_stop_after_the_same_step_and_go_on_to_the_same_bundle(
    table: Path, undisturbed: Path, tmp_path: Path
) -> None:
    command = train(table, tmp_path, "--workers", 2)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=environment()) as running:
        wait_until(lambda: epochs_done(tmp_path) >= 2, seconds=120, what="two epochs")
        running.terminate()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 143, said
    place = r"\(stage (\w+), epoch (\d), batch (\d+|the last)\)"
    found = re.fullmatch(f"stopped: a checkpoint is written {place}; run the same command again to go on\n", said)
    assert found, said
    stage, epoch, batch = found.groups()
    left = progress(tmp_path)
    if batch == "the last":
        assert (left["history"][-1]["stage"], left["history"][-1]["epoch"]) == (stage, int(epoch))
    else:
        assert (left["epoch"], left["batch"]) == (int(epoch) - 1, int(batch))
    assert len(left["history"]) < 7, "it was stopped before the end"
    run_process("train", "--stc", table, "--out", tmp_path, *SMALL, "--workers", 2)
    assert read_json(f"{tmp_path}/bundle.json")["id"] == read_json(f"{undisturbed}/bundle.json")["id"]


def test_after_the_grace_period_what_runs_is_dropped(table: Path, ray_cluster: RayCluster, tmp_path: Path) -> None:
    command = train(table, tmp_path, "--workers", 2, "--training.flow.epochs", 500, "--grace-seconds", 0)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=environment()) as running:
        wait_until(lambda: epochs_done(tmp_path) >= 1, seconds=120, what="an epoch")
        running.terminate()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 143
    assert said == "stopped: what ran was dropped; run the same command again to go on from the last checkpoint\n"
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=60, what="the workers' end")


def test_ctrl_c_ends_training_with_a_word(table: Path, ray_cluster: RayCluster, tmp_path: Path) -> None:
    command = train(table, tmp_path, "--workers", 2, "--training.flow.epochs", 500)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=environment()) as running:
        wait_until(lambda: epochs_done(tmp_path) >= 1, seconds=120, what="an epoch")
        running.send_signal(signal.SIGINT)
        output = running.communicate(timeout=60)
    assert running.returncode == 130
    assert output[1] == b"interrupted; run the same command again to go on\n"
    wait_until(lambda: not ray_workers(TRAIN_WORKER), seconds=60, what="the workers' end")


def test_a_checkpoint_holds_the_random_state_of_each_worker(undisturbed: Path) -> None:
    with safe_open(str(undisturbed / "checkpoints" / "last.safetensors"), "pt") as file:
        states = [file.get_tensor(f"rng/cpu/{rank}") for rank in range(2)]
    assert not states[0].equal(states[1])
