from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.bundle.bundle import Bundle, load_bundle, save_bundle
from hf2vad.bundle.calibration import Calibration
from hf2vad.bundle.kept import NormalExamples, ProbeCubes, noise_cubes
from hf2vad.bundle.settings import load_bundle_settings, load_provenance
from hf2vad.cubes.settings import ExtractionConfig, FlowConfig
from hf2vad.errors import BundleError, NotFoundError, SchemaError
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.scoring.feature_set import fitted_features
from hf2vad.scoring.settings import SmoothingRule
from tests.bundles import make_bundle, normal
from tests.data.make_golden import golden_cubes, golden_network
from tests.seaweed import SeaweedServer
from tests.stc import SMALL_MODEL

CPU = torch.device("cpu")
CALIBRATION = normal(
    flow=(310.0, 1 / 3), frame=(12.5, 2.0), speed=(0.9, 0.3), motion=(0.2, 0.1), threshold=3.1, low=2.2, cubes=900,
    frames=300,
)  # fmt: skip
DATA = Path(__file__).parents[1] / "data"
PERSPECTIVE = Perspective(intercept=3.0, slope=0.2, mean=30.0)
KNN = DensityConfig(kind="knn")
MOTION = Motion(KNN, {"exemplars": np.eye(8, dtype=np.float32)}, PERSPECTIVE)
OTHER = Motion(KNN, {"exemplars": 2 * np.eye(8, dtype=np.float32)}, PERSPECTIVE)
WITH_MOTION = {"features": {"motion": KNN}, "perspective": PERSPECTIVE}


@pytest.fixture(scope="module")
def model() -> HF2VAD:
    return golden_network(SMALL_MODEL)


def put(folder: Path | str, network: HF2VAD, weights: Any = None, arrays: Any = None, **changes: Any) -> Bundle:
    settings: dict[str, Any] = {
        "extraction": ExtractionConfig(flow=FlowConfig(scale=1.5)),
        "fusion": FusionConfig(flow=0.3, frame=0.7),
        "smoothing": SmoothingRule(17),
        "calibration": CALIBRATION,
    }
    more = {"provenance": {"table": "s3://cubes", "history": [1.5, 0.25]}, **(arrays or {})}
    return save_bundle(
        str(folder), make_bundle(weights or network.state_dict(), arrays=more, **{**settings, **changes})
    )


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
    assert loaded == saved
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
    saved = put(tmp_path, model, arrays={"features": {"motion": MOTION}, "probe": noise_cubes(3)}, **WITH_MOTION)
    (tmp_path / "weights.safetensors").unlink()
    assert load_bundle_settings(str(tmp_path)) == saved.settings
    assert load_provenance(str(tmp_path)) == saved.provenance
    assert len(pickle.dumps(saved.settings)) < 4096


def test_the_same_content_has_the_same_id_however_it_was_made(tmp_path: Path, model: HF2VAD) -> None:
    first = put(tmp_path / "a", model)
    assert len(first.id) == 16
    assert int(first.id, 16) > 0
    state = {
        name: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in reversed(model.state_dict().items())
    }
    assert put(tmp_path / "b", model, weights=state, arrays={"provenance": {"table": "elsewhere"}}).id == first.id


def test_any_change_of_what_decides_scores_is_another_id(tmp_path: Path, model: HF2VAD) -> None:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    bias = state["cvae.decoder.head.bias"]
    bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
    flat = CALIBRATION.to_json()
    changes: list[dict[str, Any]] = [
        {},
        {"weights": state},
        {"extraction": ExtractionConfig(flow=FlowConfig(scale=1.25))},
        {"model": replace(SMALL_MODEL, dropout=0.2)},
        {"fusion": FusionConfig(flow=0.3, frame=0.8)},
        {"smoothing": SmoothingRule(15)},
        {"smoothing": SmoothingRule(5, 10.0)},
        {"camera_pattern": "{camera}/*"},
        {"cameras": {"gate": CALIBRATION}},
        {"perspective": PERSPECTIVE},
        {"arrays": {"features": {"motion": MOTION}}, **WITH_MOTION},
        {"arrays": {"features": {"motion": OTHER}}, **WITH_MOTION},
        *({"calibration": Calibration.from_json({**flat, key: 2 * value})} for key, value in flat.items()),
    ]
    ids = [put(tmp_path / str(i), model, **change).id for i, change in enumerate(changes)]
    assert len(set(ids)) == len(changes) == 24


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
    put(tmp_path, model, arrays={"features": {"motion": MOTION}}, **WITH_MOTION)
    found = load_bundle(str(tmp_path))
    motion = found.feature("motion")
    assert (motion.settings, motion.perspective, found.settings.perspective) == (KNN, PERSPECTIVE, PERSPECTIVE)
    assert np.array_equal(motion.arrays["exemplars"], MOTION.arrays["exemplars"])
    assert (motion.fitted, found.feature("speed").fitted) == (True, True)
    assert found.build(CPU) is not None


def test_probe_cubes_come_back_as_they_were_and_are_part_of_the_id(tmp_path: Path, model: HF2VAD) -> None:
    without = put(tmp_path / "without", model)
    probe = noise_cubes(3)
    saved = put(tmp_path / "with", model, arrays={"probe": probe})
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


def test_a_feature_that_counts_and_was_not_fitted_is_refused(tmp_path: Path, model: HF2VAD) -> None:
    put(tmp_path, model)
    edit(tmp_path, lambda settings: settings["fusion"].update(motion=1.0), forge=True)
    with pytest.raises(BundleError, match=r"weights\.safetensors: motion count in its score and were not fitted"):
        load_bundle(str(tmp_path))


def test_a_density_that_lacks_an_array_is_refused(tmp_path: Path, model: HF2VAD) -> None:
    put(tmp_path, model, arrays={"features": {"motion": MOTION}}, **WITH_MOTION)
    edit(tmp_path, lambda settings: settings["density"].update(kind="gmm"), forge=True)
    with pytest.raises(BundleError, match="density of kind gmm lacks log_weights"):
        load_bundle(str(tmp_path))


def test_a_malformed_camera_pattern_is_refused(tmp_path: Path, model: HF2VAD) -> None:
    put(tmp_path, model)
    edit(tmp_path, lambda settings: settings.update(camera_pattern="{camera/*"), forge=True)
    with pytest.raises(
        BundleError, match=r"^pattern '\{camera/\*': each brace must be part of a \{name\}; a right one is"
    ):
        load_bundle(str(tmp_path))


def test_a_camera_is_calibrated_by_its_own_cubes_where_it_has_enough(tmp_path: Path, model: HF2VAD) -> None:
    gate = replace(CALIBRATION, low=1.0)
    put(tmp_path, model, camera_pattern="{camera}/{date}", cameras={"gate": gate})
    found = load_bundle(str(tmp_path)).settings
    assert found.calibration_of("gate/2026-01-01/a.mp4") == gate
    assert found.calibration_of("yard/2026-01-01/a.mp4") == found.calibration_of("a.mp4") == CALIBRATION


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_a_bundle_of_another_release_is_refused(tmp_path: Path, model: HF2VAD, version: Any) -> None:
    put(tmp_path, model)
    edit(tmp_path, lambda settings: settings.update(schema=version), forge=True)
    with pytest.raises(SchemaError, match=rf"schema version {version}, but this release reads 3; train again"):
        load_bundle(str(tmp_path))


def test_a_bundle_may_have_the_flow_network_alone(tmp_path: Path, model: HF2VAD) -> None:
    flow_alone = model.weights_of(("flow",))
    bundle = put(tmp_path, model, flow_alone, fusion=FusionConfig(frame=0.0))
    assert bundle.weights.keys() == flow_alone.keys() < model.state_dict().keys()
    assert bundle.networks == ("flow",)
    assert {"flow", "frame"} & set(fitted_features(bundle)) == {"flow"}
    again = bundle.build(torch.device("cpu")).state_dict()
    assert all(np.array_equal(again[name], value) for name, value in flow_alone.items())
    put(tmp_path / "both", model, flow_alone)
    with pytest.raises(BundleError, match=r"weights\.safetensors: has no weights of its frame network; train again"):
        load_bundle(str(tmp_path / "both"))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]"])
def test_settings_that_are_no_json_object_are_refused(tmp_path: Path, model: HF2VAD, text: bytes) -> None:
    put(tmp_path, model)
    (tmp_path / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"bundle\.json: not (valid JSON|a JSON object)"):
        load_bundle(str(tmp_path))


def test_a_bundle_of_an_earlier_release_loads_and_keeps_its_id_when_it_is_saved_again(tmp_path: Path) -> None:
    """tests/data/bundle_661f10a.json was written by that commit, beside arrays of zeros as they are made here."""
    old = DATA / "bundle_661f10a.json"
    config = replace(SMALL_MODEL, flow_root=2, cvae_widths=(4, 4, 4, 4))
    weights = {name: torch.zeros_like(value) for name, value in HF2VAD(config).state_dict().items()}
    cubes = np.zeros((2, 5, 32, 32, 3), np.uint8), np.zeros((2, 4, 32, 32, 2), np.float16)
    arrays = {"features": {"motion": MOTION}, "probe": ProbeCubes(*cubes), "examples": NormalExamples.of(*cubes)}
    put(tmp_path, golden_network(config), weights, arrays, **WITH_MOTION)
    shutil.copy(old, tmp_path / "bundle.json")
    found = load_bundle(str(tmp_path))
    assert found.settings.fusion == FusionConfig(flow=0.3, frame=0.7, motion=0.5, perspective=True)
    assert found.settings.cameras == {"gate": replace(CALIBRATION, low=1.0), "yard": CALIBRATION}
    again = save_bundle(str(tmp_path / "again"), found)
    assert again == found
    assert again.id == "01cae5290226f581"
    contents = [json.loads(path.read_text()) for path in (old, tmp_path / "again" / "bundle.json")]
    assert contents[0] == contents[1]


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
