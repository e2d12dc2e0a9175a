"""Curves and pictures of training, read back with the tools that show them."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hf2vad.errors import ConfigError, StorageError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.settings import LossConfig
from hf2vad.storage import list_files, read_bytes
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.journal import Journals, MLflow, TensorBoard
from hf2vad.training.loop import Trainer
from hf2vad.training.pictures import example_picture
from hf2vad.training.settings import StageConfig, TrainingConfig
from tests.seaweed import SeaweedServer
from tests.stc import SMALL_MODEL, make_cubes, put_clip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> StcTable:
    folder = tmp_path_factory.mktemp("journal")
    put_clip(folder, "a", (0, 40), {10: 32})
    return StcTable(str(folder))


def train(table: StcTable, out: str, *, epochs: int = 2) -> list[dict[str, Any]]:
    stage = StageConfig(epochs=epochs, lr=3e-3)
    training = TrainingConfig(stages=("flow", "frame"), flow=stage, frame=stage, batch=8, window=32)
    torch.manual_seed(0)
    checkpoints = Checkpoints(f"{out}/last.safetensors", settings=str(epochs))
    return Trainer(
        HF2VAD(SMALL_MODEL),
        table,
        training,
        LossConfig(),
        torch.device("cpu"),
        checkpoints,
        journals=lambda first: Journals([TensorBoard(f"{out}/tensorboard", first_step=first)]),
    ).run()


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


@pytest.mark.slow
def test_tensorboard_shows_the_curves_and_pictures_of_every_epoch(table: StcTable, tmp_path: Path) -> None:
    history = train(table, str(tmp_path))
    found = events(tmp_path / "tensorboard")
    names = set(found.Tags()["scalars"])
    assert {"flow/loss", "flow/entropy", "flow/lr", "flow/samples_per_s", "flow/slots_kept/up2", "frame/kl"} <= names
    assert [event.step for event in found.Scalars("flow/loss")] == [4, 8]
    assert [event.step for event in found.Scalars("frame/loss")] == [12, 16]
    for record in history:
        shown = found.Scalars(f"{record['stage']}/loss")[record["epoch"] - 1].value
        assert shown == pytest.approx(record["loss"], rel=1e-5)
    assert [event.step for event in found.Images("flow/examples")] == [4, 8]
    picture = np.asarray(Image.open(io.BytesIO(found.Images("frame/examples")[1].encoded_image_string)))
    assert picture.shape == (2 * 34, 8 * 34, 3)
    assert picture.std() > 5


def test_curves_in_s3_are_the_same_files(table: StcTable, s3: SeaweedServer, tmp_path: Path) -> None:
    train(table, "s3://journal/bundle", epochs=1)
    for entry in list_files("s3://journal/bundle/tensorboard"):
        (tmp_path / entry.name).write_bytes(read_bytes(entry.uri))
    assert [event.step for event in events(tmp_path).Scalars("frame/loss")] == [8]


@pytest.mark.slow
def test_steps_that_are_done_again_replace_those_of_the_run_that_broke_off(tmp_path: Path) -> None:
    for first, values in ((0, [1.0, 2.0, 3.0]), (2, [20.0, 30.0])):
        with Journals([TensorBoard(str(tmp_path), first_step=first)]) as journal:
            for step, value in enumerate(values, start=first):
                journal.scalars(step, {"flow/loss": value})
            journal.epoch_end()
        time.sleep(1.1)  # TensorBoard takes files in the order of their names, which hold the second
    shown = [(event.step, event.value) for event in events(tmp_path).Scalars("flow/loss")]
    assert shown == [(0, 1.0), (1, 2.0), (2, 20.0), (3, 30.0)]


@pytest.mark.parametrize(("stage", "rows"), [("flow", 2), ("frame", 2), ("joint", 4)])
def test_a_picture_leaves_the_network_and_the_random_state_as_they_were(stage: Any, rows: int) -> None:
    torch.manual_seed(0)
    model = HF2VAD(SMALL_MODEL).train()
    model.flow_autoencoder.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    appearance, flow = make_cubes(5, 0)
    picture = example_picture(model, cube_tensors(appearance, flow, torch.device("cpu")), stage)
    assert picture.shape == (rows * 34, 5 * 34, 3)
    assert picture.dtype == np.uint8
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_target_of_a_picture_is_the_frame_in_its_own_colours() -> None:
    appearance, flow = make_cubes(1, 0)
    appearance[..., :] = (255, 0, 10)  # BGR: blue
    picture = example_picture(HF2VAD(SMALL_MODEL), cube_tensors(appearance, flow, torch.device("cpu")), "frame")
    assert picture[20, 20].tolist() == [10, 0, 255]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_mlflow_gets_settings_and_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with Journals([MLflow(f"file://{tmp_path}", settings={"training.batch": 8})]) as journal:
        journal.scalars(4, {"flow/loss": 0.5})
        journal.scalars(8, {"flow/loss": 0.25})
        journal.epoch_end()
    (curve,) = tmp_path.rglob("metrics/flow/loss")
    assert [line.split()[1:] for line in curve.read_text().splitlines()] == [["0.5", "4"], ["0.25", "8"]]
    (setting,) = tmp_path.rglob("params/training.batch")
    assert setting.read_text() == "8"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_place_that_mlflow_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(StorageError, match=r"nothing://here: MLflow cannot be used"):
        MLflow("nothing://here", settings={})


def test_without_mlflow_the_error_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'hf2vad\[mlflow\]'"):
        MLflow("http://127.0.0.1:1", settings={})
