"""`hf2vad train --init`: weights of another bundle, or of the paper's code, as the start of a training."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.release import release_names
from hf2vad.models.inputs import CubeTensors
from tests.data.make_golden import golden_network
from tests.site import SMALL, run_job
from tests.stc import SMALL_MODEL, put_clip
from tests.unit.test_release import SHARED, needs_shared, stand_in_weights

NO_STAGES = ("--training.stages", "--training.no-tensorboard")
STILL = ("--training.flow.lr", 1e-30, "--training.frame.lr", 1e-30, "--training.no-tensorboard")
"""Stages that run, and change weights by less than a float32 can tell."""


@pytest.fixture(scope="module")
def stc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stc")
    put_clip(folder, "a", (0, 40), {10: 16, 11: 8})
    put_clip(folder, "b", (0, 40), {10: 16}, seed=1)
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint file as the paper's code saves one, of a small network with fixed weights."""
    state = golden_network(SMALL_MODEL).state_dict()
    path = tmp_path_factory.mktemp("released") / "small.pth"
    names = release_names(SMALL_MODEL)
    torch.save({"epoch": 80, "model_state_dict": {theirs: state[ours] for ours, theirs in names.items()}}, path)
    return path


def parameters(bundle: Path) -> dict[str, Any]:
    weights = load_bundle(str(bundle)).state()
    return {name: value for name, value in weights.items() if "running_" not in name and "batches" not in name}


@pytest.mark.slow
def test_released_weights_become_a_bundle_as_they_are(stc: Path, released: Path, tmp_path: Path) -> None:
    run_job("train", "--stc", stc, "--out", tmp_path / "b", *SMALL, "--init", released, *NO_STAGES)
    weights = load_bundle(str(tmp_path / "b")).state()
    assert weights.keys() == golden_network(SMALL_MODEL).state_dict().keys()
    for name, value in golden_network(SMALL_MODEL).state_dict().items():
        assert torch.equal(weights[name], value), name


@pytest.mark.slow
def test_training_starts_from_them(stc: Path, released: Path, tmp_path: Path) -> None:
    run_job("train", "--stc", stc, "--out", tmp_path / "b", *SMALL, "--init", released, *STILL)
    weights = parameters(tmp_path / "b")
    golden = golden_network(SMALL_MODEL).state_dict()
    for name, value in weights.items():
        assert torch.equal(value, golden[name]), name
    assert [epoch["stage"] for epoch in load_bundle(str(tmp_path / "b")).provenance["history"]] == ["flow", "frame"]


@pytest.mark.slow
def test_it_starts_from_another_bundle_too_and_other_weights_are_another_training(
    stc: Path, released: Path, tmp_path: Path
) -> None:
    run_job("train", "--stc", stc, "--out", tmp_path / "first", *SMALL, "--init", released, *NO_STAGES)
    fine = ("--stc", stc, "--out", tmp_path / "fine", *SMALL, *STILL)
    run_job("train", *fine, "--init", tmp_path / "first")
    first, second = parameters(tmp_path / "first"), parameters(tmp_path / "fine")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "already trained" in run_job("train", *fine, "--init", tmp_path / "first").stdout
    assert "of other settings" in run_job("train", *fine, "--init", released, expect=2).stderr


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


SOMETHING_ELSE = {
    "code": saved(torch.nn.Linear(2, 2)),
    "another network": saved(torch.nn.Linear(2, 2).state_dict()),
    "a list": saved([torch.zeros(2)]),
    "half a file": saved({"model_state_dict": {"a": torch.zeros(2)}})[:300],
    "text": b"hello, world",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(99)),
    "nothing": b"",
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", SOMETHING_ELSE)
def test_a_file_that_is_something_else_is_named(kind: str, stc: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    file.write_bytes(SOMETHING_ELSE[kind])
    done = run_job("train", "--stc", stc, "--out", tmp_path / "b", *SMALL, "--init", file, expect=2)
    assert done.stderr.startswith(f"error: {file}: not a released HF2-VAD checkpoint: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "b").exists()


def test_weights_of_another_shape_are_refused_with_the_settings_that_fit(
    stc: Path, released: Path, tmp_path: Path
) -> None:
    init = ("--init", released)
    done = run_job("train", "--stc", stc, "--out", tmp_path / "b", *SMALL, "--model.slots", 9, *init, expect=2)
    assert "its network has another shape; give its --preset, or what differs: model.slots 8" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--training.stages",), "training.stages has no flow stage, so fusion.flow must be 0, or --init the weights"),
        (("--init", "x", "--select"), "--select tries networks of other shapes than that of --init"),
        (("--init", "nowhere.pth"), "nowhere.pth: no such file or folder"),
    ],
)
def test_mistakes(stc: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    assert message in run_job("train", "--stc", stc, "--out", tmp_path / "b", *SMALL, *options, expect=2).stderr


@pytest.mark.slow
@pytest.mark.shared
@needs_shared
def test_a_bundle_of_released_weights_answers_as_the_original_network(stc: Path, tmp_path: Path) -> None:
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in stand_in_weights().items()}
    torch.save({"model_state_dict": state}, tmp_path / "ped2.pth")
    init = ("--preset", "ped2", "--training.batch", 8, "--init", tmp_path / "ped2.pth", *NO_STAGES)
    run_job("train", "--stc", stc, "--out", tmp_path / "b", *init, "--threads", 1)
    model = load_bundle(str(tmp_path / "b")).build(torch.device("cpu"))
    with np.load(SHARED / "release_golden.npz") as golden:
        frames, flows = torch.tensor(golden["frames"]), torch.tensor(golden["flows"])
        inputs = CubeTensors(frames[:, :12], flows, frames[:, 12:])
        s_flow, s_frame = model.errors(inputs)
        with torch.inference_mode():
            rebuilt = model.reconstruct(inputs).flow
            frame = model.predict(inputs, rebuilt, sample=False, prior=False).frame
        np.testing.assert_allclose(s_flow.numpy(), golden["S_r"], rtol=1e-3)
        np.testing.assert_allclose(s_frame.numpy(), golden["S_p"], rtol=1e-3)
        np.testing.assert_allclose(rebuilt.numpy(), golden["flow_reconstruction"], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(frame.numpy(), golden["frame_prediction"], atol=1e-3)
