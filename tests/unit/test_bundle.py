from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.bundle.bundle import Bundle, Calibration, load_bundle, load_bundle_settings, save_bundle
from hf2vad.bundle.probe import noise_cubes
from hf2vad.cubes.settings import ExtractionConfig, FlowConfig
from hf2vad.errors import BundleError, NotFoundError, SchemaError
from hf2vad.features.density import MotionDensity
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import DensityConfig, FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from tests.data.make_golden import golden_cubes, golden_network
from tests.seaweed import SeaweedServer
from tests.stc import SMALL_MODEL

CPU = torch.device("cpu")
CALIBRATION = Calibration(
    flow_mean=310.0, flow_std=1 / 3, frame_mean=12.5, frame_std=2.0, speed_mean=0.9, speed_std=0.3, motion_mean=0.2,
    motion_std=0.1, threshold=3.1, low=2.2, cubes=900, frames=300,
)  # fmt: skip
PERSPECTIVE = Perspective(intercept=3.0, slope=0.2, mean=30.0)
DENSITY = MotionDensity(DensityConfig(kind="knn"), {"exemplars": np.eye(8, dtype=np.float32)}, PERSPECTIVE)
OTHER = MotionDensity(DensityConfig(kind="knn"), {"exemplars": 2 * np.eye(8, dtype=np.float32)}, PERSPECTIVE)


@pytest.fixture(scope="module")
def model() -> HF2VAD:
    return golden_network(SMALL_MODEL)


def put(folder: Path | str, model: HF2VAD, **changes: Any) -> Bundle:
    contents: dict[str, Any] = {
        "weights": model.state_dict(),
        "extraction": ExtractionConfig(flow=FlowConfig(scale=1.5)),
        "model_config": SMALL_MODEL,
        "fusion": FusionConfig(flow=0.3, frame=0.7),
        "smoothing": 17,
        "calibration": CALIBRATION,
        "provenance": {"table": "s3://cubes", "history": [1.5, 0.25]},
    }
    return save_bundle(str(folder), **{**contents, **changes})


def edit(folder: Path, change: Callable[[dict[str, Any]], object], *, forge: bool = False) -> None:
    """Change bundle.json; `forge`: with the id of the changed content, as its writer would have made it."""
    settings = json.loads((folder / "bundle.json").read_text())
    change(settings)
    if forge:
        decisive = {key: value for key, value in settings.items() if key not in ("id", "provenance")}
        canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        settings["id"] = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    (folder / "bundle.json").write_text(json.dumps(settings))


def assert_same(loaded: Bundle, saved: Bundle, model: HF2VAD) -> None:
    assert replace(loaded, weights={}) == replace(saved, weights={})
    assert loaded.weights.keys() == model.state_dict().keys()
    inputs = golden_cubes(2)
    built = loaded.build(CPU)
    assert not built.training
    for ours, theirs in zip(built.errors(inputs), model.errors(inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_a_bundle_survives_the_way_through_a_folder(tmp_path: Path, model: HF2VAD) -> None:
    saved = put(tmp_path / "bundle", model)
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["bundle.json", "weights.safetensors"]
    assert_same(load_bundle(str(tmp_path / "bundle")), saved, model)


def test_a_bundle_survives_the_way_through_s3(s3: SeaweedServer, model: HF2VAD) -> None:
    saved = put("s3://bundles-of-test-bundle/one", model)
    assert_same(load_bundle("s3://bundles-of-test-bundle/one"), saved, model)
    with pytest.raises(NotFoundError, match="no bundle there"):
        load_bundle("s3://bundles-of-test-bundle/two")


def test_settings_are_read_without_the_weights_and_make_no_network(tmp_path: Path, model: HF2VAD) -> None:
    saved = put(tmp_path, model)
    (tmp_path / "weights.safetensors").unlink()
    settings = load_bundle_settings(str(tmp_path))
    assert settings == replace(saved, weights={})
    with pytest.raises(BundleError, match=f"bundle {saved.id}: weights do not fit its network"):
        settings.build(CPU)


def test_the_same_content_has_the_same_id_however_it_was_made(tmp_path: Path, model: HF2VAD) -> None:
    first = put(tmp_path / "a", model)
    assert len(first.id) == 16
    assert int(first.id, 16) > 0
    state = {
        name: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in reversed(model.state_dict().items())
    }
    assert put(tmp_path / "b", model, weights=state, provenance={"table": "elsewhere"}).id == first.id


def test_any_change_of_what_decides_scores_is_another_id(tmp_path: Path, model: HF2VAD) -> None:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    bias = state["cvae.decoder.head.bias"]
    bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
    changes: list[dict[str, Any]] = [
        {},
        {"weights": state},
        {"extraction": ExtractionConfig(flow=FlowConfig(scale=1.25))},
        {"model_config": replace(SMALL_MODEL, dropout=0.2)},
        {"fusion": FusionConfig(flow=0.3, frame=0.8)},
        {"smoothing": 15},
        {"camera_pattern": "{camera}/*"},
        {"cameras": {"gate": CALIBRATION}},
        {"perspective": PERSPECTIVE},
        {"density": DENSITY, "perspective": PERSPECTIVE},
        {"density": OTHER, "perspective": PERSPECTIVE},
        *({"calibration": replace(CALIBRATION, **{key: 2 * value})} for key, value in asdict(CALIBRATION).items()),
    ]
    ids = [put(tmp_path / str(i), model, **change).id for i, change in enumerate(changes)]
    assert len(set(ids)) == len(changes) == 23


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: b"", lambda data: data + b"\0", lambda data: data[:-9] + b"\x7f" + data[-8:]],
)
def test_damaged_weights_are_refused(tmp_path: Path, model: HF2VAD, damage: Callable[[bytes], bytes]) -> None:
    put(tmp_path, model)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(
        BundleError, match=r"weights\.safetensors: its content is not what bundle\.json was written for"
    ):
        load_bundle(str(tmp_path))


@pytest.mark.parametrize("missing", ["weights.safetensors", "bundle.json"])
def test_a_missing_file_is_named(tmp_path: Path, model: HF2VAD, missing: str) -> None:
    put(tmp_path, model)
    (tmp_path / missing).unlink()
    with pytest.raises(NotFoundError, match=missing):
        load_bundle(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["calibration"].update(threshold=1.0), "changed after it was written"),
        (lambda s: s["model"].update(shrink=0.2), "changed after it was written"),
        (lambda s: s.pop("fusion"), "changed after it was written"),
        (lambda s: s.pop("weights_sha256"), "changed after it was written"),
        (lambda s: s.pop("id"), "incomplete: 'id'"),
        (lambda s: s.pop("provenance"), "incomplete: 'provenance'"),
    ],
)
def test_edited_settings_are_refused(tmp_path: Path, model: HF2VAD, change: Any, message: str) -> None:
    put(tmp_path, model)
    edit(tmp_path, change)
    for read in (load_bundle, load_bundle_settings):
        with pytest.raises(BundleError, match=rf"bundle\.json: {message}"):
            read(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("weights_sha256"), "its content is not what"),
        (lambda s: s.pop("fusion"), "incomplete: 'fusion'"),
        (lambda s: s["model"].update(layers=3), "unknown key layers"),
        (lambda s: s["calibration"].update(flow_std=0.0), "deviations must be positive"),
        (lambda s: s["calibration"].update(low=float("nan")), "low is nan, not a finite number"),
        (lambda s: s["calibration"].update(low="high"), "incomplete"),
        (lambda s: s.update(smoothing="wide"), "incomplete: invalid literal"),
        (lambda s: s.update(model=3), "incomplete"),
    ],
)
def test_settings_that_no_writer_makes_are_refused(tmp_path: Path, model: HF2VAD, change: Any, message: str) -> None:
    put(tmp_path, model)
    edit(tmp_path, change, forge=True)
    with pytest.raises(BundleError, match=message):
        load_bundle(str(tmp_path))


def test_a_density_and_a_perspective_come_back_as_they_were(tmp_path: Path, model: HF2VAD) -> None:
    put(tmp_path, model, density=DENSITY, perspective=PERSPECTIVE)
    found = load_bundle(str(tmp_path))
    assert (found.density.config, found.density.perspective, found.perspective) == (
        DENSITY.config,
        PERSPECTIVE,
        PERSPECTIVE,
    )
    assert np.array_equal(found.density.arrays["exemplars"], DENSITY.arrays["exemplars"])
    assert found.build(CPU) is not None


def test_probe_cubes_come_back_as_they_were_and_are_part_of_the_id(tmp_path: Path, model: HF2VAD) -> None:
    without = put(tmp_path / "without", model)
    probe = noise_cubes(3)
    saved = put(tmp_path / "with", model, probe=probe)
    found = load_bundle(str(tmp_path / "with"))
    assert np.array_equal(found.probe.appearance, probe.appearance)
    assert np.array_equal(found.probe.flow, probe.flow)
    assert (found.id, len(load_bundle(str(tmp_path / "without")).probe)) == (saved.id, 0)
    assert saved.id != without.id
    assert found.build(CPU) is not None


@pytest.mark.parametrize("arrays", [{"flow": np.zeros((2, 4, 32, 32, 2), np.float16)}, {"pixels": np.zeros(2)}])
def test_probe_cubes_that_are_incomplete_are_refused(tmp_path: Path, model: HF2VAD, arrays: dict[str, Any]) -> None:
    weights = {**model.state_dict(), **{f"probe/{name}": torch.from_numpy(value) for name, value in arrays.items()}}
    put(tmp_path, model, weights=weights)
    with pytest.raises(BundleError, match=r"weights\.safetensors: .*(appearance|pixels)"):
        load_bundle(str(tmp_path))


def test_a_density_without_its_arrays_is_refused(tmp_path: Path, model: HF2VAD) -> None:
    put(tmp_path, model)
    edit(tmp_path, lambda settings: settings["density"].update(kind="gmm"), forge=True)
    with pytest.raises(BundleError, match="density of kind gmm lacks log_weights"):
        load_bundle(str(tmp_path))


def test_a_camera_is_calibrated_by_its_own_cubes_where_it_has_enough(tmp_path: Path, model: HF2VAD) -> None:
    gate = replace(CALIBRATION, flow_mean=9.0)
    put(tmp_path, model, camera_pattern="{camera}/{date}", cameras={"gate": gate})
    found = load_bundle(str(tmp_path))
    assert found.calibration_of("gate/2026-01-01/a.mp4") == gate
    assert found.calibration_of("yard/2026-01-01/a.mp4") == found.calibration_of("a.mp4") == CALIBRATION


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_a_bundle_of_another_release_is_refused(tmp_path: Path, model: HF2VAD, version: Any) -> None:
    put(tmp_path, model)
    edit(tmp_path, lambda settings: settings.update(schema=version), forge=True)
    with pytest.raises(SchemaError, match=rf"schema version {version}, but this release reads 3; train again"):
        load_bundle(str(tmp_path))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]"])
def test_settings_that_are_no_json_object_are_refused(tmp_path: Path, model: HF2VAD, text: bytes) -> None:
    put(tmp_path, model)
    (tmp_path / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"bundle\.json: not (valid JSON|a JSON object)"):
        load_bundle(str(tmp_path))


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_pickle_in_place_of_the_weights_is_refused_and_executes_nothing(
    tmp_path: Path, model: HF2VAD, write: Callable[[Any, Any], object]
) -> None:
    put(tmp_path, model)
    weights, mark = tmp_path / "weights.safetensors", tmp_path / "executed"
    with weights.open("wb") as file:
        write(Trap(mark), file)
    content = io.BytesIO(weights.read_bytes())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    edit(tmp_path, lambda settings: settings.update(weights_sha256=digest), forge=True)
    with pytest.raises(BundleError, match=r"weights\.safetensors: not a safetensors file"):
        load_bundle(str(tmp_path))
    assert not mark.exists()
    torch.load(content, weights_only=False) if write is torch.save else pickle.load(content)
    assert mark.exists()  # what was not executed is a trap that works


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_weights_that_do_not_fit_the_network_are_refused(tmp_path: Path, model: HF2VAD, change: str) -> None:
    state = dict(model.state_dict())
    head = state.pop("cvae.decoder.head.bias")
    if change != "missing":
        state["cvae.decoder.head.bias"] = torch.zeros(4) if change == "shape" else head
    if change == "unknown":
        state["cvae.extra"] = head.clone()
    put(tmp_path, model, weights=state)
    with pytest.raises(BundleError, match=r"weights do not fit its network.*\n?.*cvae\.(decoder\.head\.bias|extra)"):
        load_bundle(str(tmp_path)).build(CPU)
