"""What training processes tell each other: two real processes on Gloo, and one without a group."""

from __future__ import annotations

import datetime
import multiprocessing
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from hf2vad.errors import StorageError, TrainingError
from hf2vad.training.group import Group


def exchange(rank: int, folder: str, found: Queue[Any]) -> None:
    """Everything once, as process `rank` of two."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60)
    )
    group = Group.current(torch.device("cpu"))
    result: dict[str, Any] = {"me": (group.rank, group.world, group.first)}
    result["mean"] = group.mean([1.0 + rank, float("nan") if rank else 0.0])
    result["gathered"] = [one.tolist() for one in group.gather(torch.tensor([rank, 7]))]
    result["any"] = [group.any(rank == 1), group.any(False)]
    values = [torch.full((2, 3), float(rank)), torch.tensor(rank, dtype=torch.int64)]
    group.share(values)
    result["shared"] = [value.tolist() for value in values]
    done: list[int] = []
    group.first_does(lambda: done.append(rank))
    result["done"] = done
    result["raised"] = raised(lambda: group.first_does(full_disk))
    group.require_same("table", [3, 4])
    result["different"] = raised(lambda: group.require_same("table", [3, rank]))
    found.put((rank, result))
    dist.destroy_process_group()


def full_disk() -> None:
    raise StorageError("s3://a/last.safetensors: cannot be written: völlig full")


def raised(action: Callable[[], object]) -> tuple[str, str]:
    try:
        action()
    except Exception as error:
        return type(error).__name__, str(error)
    return "", ""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    context = multiprocessing.get_context("spawn")
    found: Queue[Any] = context.Queue()
    folder = str(tmp_path_factory.mktemp("group"))
    processes = [context.Process(target=exchange, args=(rank, folder, found)) for rank in range(2)]
    for process in processes:
        process.start()
    answers = dict(found.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    return [answers[0], answers[1]]


@pytest.mark.slow
def test_each_process_knows_its_place(results: list[dict[str, Any]]) -> None:
    assert [one["me"] for one in results] == [(0, 2, True), (1, 2, False)]


def test_a_mean_is_over_all_and_not_a_number_where_one_of_them_is_none(results: list[dict[str, Any]]) -> None:
    for one in results:
        assert one["mean"][0] == 1.5
        assert one["mean"][1] != one["mean"][1]


def test_what_holds_in_one_is_known_to_all(results: list[dict[str, Any]]) -> None:
    assert [one["any"] for one in results] == [[True, False]] * 2


def test_tensors_are_gathered_by_rank_and_shared_from_the_first(results: list[dict[str, Any]]) -> None:
    for one in results:
        assert one["gathered"] == [[0, 7], [1, 7]]
        assert one["shared"] == [[[0.0] * 3] * 2, 0]


def test_what_the_first_does_is_done_once_and_fails_for_all(results: list[dict[str, Any]]) -> None:
    assert [one["done"] for one in results] == [[0], []]
    for one in results:
        assert one["raised"] == ("StorageError", "s3://a/last.safetensors: cannot be written: völlig full")


def test_processes_that_see_different_tables_all_say_so(results: list[dict[str, Any]]) -> None:
    for one in results:
        name, message = one["different"]
        assert name == "TrainingError"
        assert "do not see the same table" in message


def test_one_process_alone_needs_no_group(tmp_path: Path) -> None:
    group = Group.current(torch.device("cpu"))
    assert (group.rank, group.world, group.first) == (0, 1, True)
    assert group.mean([0.1, 2.0]) == [0.1, 2.0]
    assert (group.any(True), group.any(False)) == (True, False)
    value = torch.ones(2)
    assert group.gather(value)[0] is value
    group.share([value])
    group.require_same("table", [1])
    with pytest.raises(StorageError):
        group.first_does(full_disk)
    with pytest.raises(TrainingError):
        group.first_does(lambda: (_ for _ in ()).throw(TrainingError("x")))
