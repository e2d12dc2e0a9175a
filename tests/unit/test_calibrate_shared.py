"""Calibration by several processes, and camera by camera."""

from __future__ import annotations

import datetime
import multiprocessing
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from hf2vad.engines.eager import EagerEngine
from hf2vad.errors import TrainingError
from hf2vad.features.motion import DensityConfig
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import Calibrations, calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.measure import MeasuredFile, measure_files, measure_together
from hf2vad.fitting.sample import fit_features
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from tests.bundles import feature_set
from tests.stc import SMALL_MODEL, make_cubes, put_clip

FUSION = FusionConfig(flow=1, frame=0.5, speed=0.2, motion=0.3, perspective=True)
PATTERN = "{camera}/*"


def features(table: StcTable) -> tuple[FeatureSet, Perspective]:
    torch.manual_seed(0)
    engine = EagerEngine(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=16)
    settings = {name: feature_classes()[name].Settings() for name in ("flow", "frame", "speed")}
    settings["motion"] = DensityConfig(kind="knn")
    fitted, perspective = fit_features(table, settings, seed=0)
    return FeatureSet(fitted, engine, 16), perspective


def calibrated(table: StcTable, group: Group) -> Calibrations:
    return calibrated_by(measure_together(table, *features(table), group), table)


def calibrated_by(measured: list[MeasuredFile], table: StcTable) -> Calibrations:
    cameras = Cameras.of(table.files, PATTERN)
    return calibrate(
        measured, fusion=FUSION, smoothing=SmoothingRule(5), where=table.uri, cameras=cameras, camera_cubes=30
    )


def edges(measured: list[MeasuredFile]) -> list[list[bool]]:
    return [file.at_edge.tolist() for file in measured]


def one_of_two(rank: int, folder: str, uri: str, found: Queue[Any]) -> None:
    """Calibrate as process `rank` of two."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60)
    )
    table = StcTable(uri)
    measured = measure_together(table, *features(table), Group.current(torch.device("cpu")))
    found.put((rank, (calibrated_by(measured, table), edges(measured))))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> StcTable:
    """Three cameras: two files, one file and an empty one, and one with few cubes."""
    folder = tmp_path_factory.mktemp("table")
    cubes = dict.fromkeys(range(5, 25), 2)
    put_clip(folder, "gate/a", (0, 30), cubes, seed=0)
    put_clip(folder, "gate/b", (0, 40), {6: 3, 30: 4}, seed=1)
    put_clip(folder, "yard/a", (0, 30), cubes, seed=2)
    put_clip(folder, "yard/a", (30, 40), {}, seed=3)
    put_clip(folder, "roof/a", (0, 30), {9: 5}, seed=4)
    return StcTable(str(folder))


@pytest.mark.slow
def test_two_processes_calibrate_as_one_does(table: StcTable, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    found: Queue[Any] = context.Queue()
    arguments = [(rank, str(tmp_path), table.uri, found) for rank in range(2)]
    processes = [context.Process(target=one_of_two, args=one) for one in arguments]
    for process in processes:
        process.start()
    answers = dict(found.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    measured = measure_together(table, *features(table), Group())
    alone = calibrated_by(measured, table)
    assert answers[0] == answers[1] == (alone, edges(measured))
    assert alone.overall.cubes == 92
    assert [sum(file) for file in edges(measured)] == [20, 2, 1, 20, 0], "the first box of each frame"


def test_a_camera_is_calibrated_as_if_there_were_no_other(table: StcTable) -> None:
    found = calibrated(table, Group())
    assert found.cameras.keys() == {"gate", "yard"}
    files = [file for file in table.files if file.video.startswith("gate/")]
    alone = calibrate(
        measure_files(table, *features(table), files), fusion=FUSION, smoothing=SmoothingRule(5), where=table.uri
    ).overall
    assert found.cameras["gate"] == alone
    assert alone.cubes == 47
    assert found.overall != alone


def test_without_a_pattern_there_are_no_cameras(table: StcTable) -> None:
    measured = measure_together(table, *features(table), Group())
    assert calibrate(measured, fusion=FUSION, smoothing=SmoothingRule(5), where="").cameras == {}


def test_a_camera_of_which_all_cubes_are_alike_is_named(tmp_path: Path) -> None:
    appearance, flow = make_cubes(1, 0)
    put_clip(tmp_path, "gate/a", (0, 40), {9: 20}, content=(appearance.repeat(20, 0), flow.repeat(20, 0)))
    put_clip(tmp_path, "yard/a", (0, 40), {9: 20}, seed=1)
    table = StcTable(str(tmp_path))
    engine = EagerEngine(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=16)
    measured = measure_files(table, feature_set(engine))
    cameras = Cameras.of(table.files, PATTERN)
    with pytest.raises(TrainingError, match=rf"{tmp_path}, camera gate: the flow errors of all training cubes"):
        calibrate(
            measured,
            fusion=FusionConfig(),
            smoothing=SmoothingRule(1),
            where=table.uri,
            cameras=cameras,
            camera_cubes=10,
        )
