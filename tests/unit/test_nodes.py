from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from hf2vad.ablation.nodes import Cut, Score, Tables, Train, Workspace, run_node
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import TrainingError
from hf2vad.features.speed import flow_speed
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.settings import LossConfig
from hf2vad.schema import ERRORS
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.settings import StageConfig, TrainingConfig
from tests.stc import SMALL_MODEL, make_cubes, put_clip

CUT = Cut("/train", "/test", ExtractionConfig(), ("", ""))
STAGE = StageConfig(epochs=2, steps=2, lr=1e-3)


def training(stage: str) -> TrainingConfig:
    return TrainingConfig(stages=(stage,), flow=STAGE, frame=STAGE, joint=STAGE, batch=8, window=64)  # type: ignore[arg-type]


FLOW = Train(CUT, SMALL_MODEL, LossConfig(), training("flow"), None)
FRAME = Train(CUT, SMALL_MODEL, LossConfig(), training("frame"), FLOW)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two training clips of 20 and 17 cubes, and a test clip of 10."""
    put_clip(tmp_path / "train", "a", (0, 40), {5: 8, 6: 12}, seed=1)
    put_clip(tmp_path / "train", "b", (0, 30), {9: 17}, seed=2)
    put_clip(tmp_path / "test", "c", (0, 20), {4: 1, 7: 9}, seed=3)
    tables = Tables(str(tmp_path / "train"), str(tmp_path / "test"), "0", 0.0)
    return Workspace(str(tmp_path / "out"), {CUT: tables}, "cpu", torch.get_num_threads())


def weights(workspace: Workspace, node: Train) -> dict[str, torch.Tensor]:
    return load_file(Path(workspace.folder(node)) / "weights.safetensors")


def test_a_stage_is_trained_for_its_steps_on_the_weights_of_the_one_before(workspace: Workspace) -> None:
    for node in (FLOW, FRAME):
        found = run_node(workspace, node)
        assert (found["epochs"], found["steps"], found["cubes"]) == (2, 4, 37)
        assert [record["epoch"] for record in found["history"]] == [1, 2]
    flow, both = weights(workspace, FLOW), weights(workspace, FRAME)
    autoencoder = [name for name in flow if name.startswith("flow_autoencoder.")]
    assert all(torch.equal(flow[name], both[name]) for name in autoencoder)
    assert any(not torch.equal(flow[name], both[name]) for name in flow if name.startswith("cvae."))
    assert not list(Path(workspace.out).rglob("checkpoint*"))


def test_a_finished_unit_says_so_and_only_then(workspace: Workspace) -> None:
    assert not workspace.is_done(FLOW)
    found = run_node(workspace, FLOW)
    assert workspace.is_done(FLOW)
    assert json.loads((Path(workspace.folder(FLOW)) / "unit.json").read_text()) == found
    assert "cores" in found["hardware"]
    assert not workspace.is_done(FRAME)


def test_training_that_was_killed_goes_on_from_its_checkpoint(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_node(workspace, FLOW)
    expected = weights(workspace, FLOW)
    again = replace(workspace, out=workspace.out + "_again")

    save = Checkpoints.save

    def save_and_die(self: Checkpoints, *state: object) -> None:
        save(self, *state)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run_node(again, FLOW)
    assert not again.is_done(FLOW)
    run_node(again, FLOW)
    found = weights(again, FLOW)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_scores_follow_the_table_and_calibrate_on_evenly_spread_training_cubes(
    workspace: Workspace, tmp_path: Path
) -> None:
    node = Score(CUT, "speed", None, calibration_cubes=10)
    found = run_node(workspace, node)
    assert (found["test_cubes"], found["train_cubes"]) == (10, 10)
    test, train = (pq.read_table(Path(workspace.folder(node)) / f"{name}.parquet") for name in ("test", "train"))
    assert test.schema.remove_metadata().equals(ERRORS)
    assert test["video"].to_pylist() == ["c"] * 10
    assert test["frame"].to_pylist() == [4] + [7] * 9
    cubes = [(file.video, part) for file, part in StcTable(str(tmp_path / "train")).in_order()]
    speeds = np.concatenate([flow_speed(part.flow) for _, part in cubes])
    videos = [video for video, part in cubes for _ in range(len(part))]
    np.testing.assert_array_equal(train["error"].to_numpy(), speeds[::4])
    assert train["video"].to_pylist() == videos[::4]


@pytest.mark.slow
def test_scores_are_those_of_the_trained_network(workspace: Workspace, tmp_path: Path) -> None:
    for node in (FLOW, FRAME):
        run_node(workspace, node)
    model = HF2VAD(SMALL_MODEL).eval()
    model.load_state_dict(weights(workspace, FRAME))
    ((_, cubes),) = list(StcTable(str(tmp_path / "test")).in_order())
    expected = model.errors(cube_tensors(cubes.appearance, cubes.flow, torch.device("cpu")))
    for part, network, errors in zip(("flow", "frame"), (FLOW, FRAME), expected, strict=True):
        node = Score(CUT, part, network, calibration_cubes=0)  # type: ignore[arg-type]
        assert run_node(workspace, node)["train_cubes"] == 37
        found = pq.read_table(Path(workspace.folder(node)) / "test.parquet")["error"].to_numpy()
        np.testing.assert_allclose(found, errors.numpy(), rtol=1e-5)


def test_another_table_or_setting_is_another_unit(workspace: Workspace) -> None:
    others = [
        workspace.folder(replace(FLOW, training=replace(FLOW.training, seed=1))),
        workspace.folder(replace(FLOW, loss=LossConfig(entropy=0.0))),
        replace(workspace, tables={CUT: replace(workspace.tables[CUT], fingerprint="1")}).folder(FLOW),
        workspace.folder(FRAME),
    ]
    assert len({workspace.folder(FLOW), *others}) == 5
    assert re.fullmatch(r"train-flow-[0-9a-f]{16}", workspace.name(FLOW))


def test_errors_that_are_not_finite_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    appearance, flow = make_cubes(3, 0)
    flow[1, 0, 0, 0, 0] = np.nan
    put_clip(tmp_path / "test", "d", (0, 20), {9: 3}, content=(appearance, flow))
    with pytest.raises(TrainingError, match="speed errors of its cubes are not finite"):
        run_node(workspace, Score(CUT, "speed", None, calibration_cubes=0))
