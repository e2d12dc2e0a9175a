from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.bundle.bundle import Bundle, load_bundle, save_bundle
from hf2vad.bundle.kept import NO_PROBE, ProbeCubes
from hf2vad.engines.aot import export_network
from hf2vad.engines.choose import choose_engine
from hf2vad.engines.compiled import no_compiler
from hf2vad.engines.eager import EagerEngine, NetworkErrors
from hf2vad.engines.make import make_engine
from hf2vad.engines.network import EngineInputs, NetworkEngine, check_parity
from hf2vad.engines.package import Package
from hf2vad.engines.settings import EngineSpec
from hf2vad.engines.target import Target, engine_key, this_target
from hf2vad.errors import ConfigError, EngineError
from hf2vad.models.inference import Inference
from hf2vad.models.settings import NETWORKS, FlowResidual, ModelConfig
from hf2vad.schema import F16, U8
from tests.bundles import make_bundle
from tests.data.make_golden import golden_network
from tests.seaweed import SeaweedServer
from tests.stc import SMALL_MODEL, make_cubes

CPU = torch.device("cpu")
BATCH = 8
TINY = replace(SMALL_MODEL, flow_root=2, cvae_widths=(4, 4, 4, 4))
CUBES = make_cubes(19, 5)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


def put_bundle(folder: Path | str, model: torch.nn.Module, config: ModelConfig, probe: ProbeCubes) -> Bundle:
    save_bundle(str(folder), make_bundle(model.state_dict(), model=config, arrays={"probe": probe}))
    return load_bundle(str(folder))


def reading_frames(folder: Path, residual: FlowResidual) -> Bundle:
    config = replace(TINY, flow_input="frames", flow_residual=residual, flow_error="min", frame_residual="median")
    return put_bundle(folder, golden_network(config), config, ProbeCubes(*make_cubes(5, 1)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return put_bundle(folder, golden_network(TINY), TINY, ProbeCubes(*make_cubes(5, 1)))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    return EngineSpec(name="aot", cache=str(tmp_path_factory.mktemp("engines")))


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose flow network reads frames too."""
    return reading_frames(tmp_path_factory.mktemp("framed"), "quarters")


@pytest.fixture(scope="module")
def aot(framed: Bundle, spec: EngineSpec) -> Iterator[NetworkEngine]:
    """A package of both networks, built once for this module."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = make_engine(spec, framed, device=CPU, batch=BATCH)
    assert isinstance(engine, NetworkEngine)
    yield engine
    torch.set_num_threads(before)


def eager(bundle: Bundle, cubes: tuple[U8, F16] = CUBES) -> NetworkErrors:
    return EagerEngine(bundle.build(CPU), device=CPU, batch=BATCH).errors(*cubes)


def assert_close(found: NetworkErrors, expected: NetworkErrors) -> None:
    np.testing.assert_allclose(found["flow"], expected["flow"], rtol=1e-5)
    np.testing.assert_allclose(found["frame"], expected["frame"], rtol=1e-5)


def package(bundle: Bundle, spec: EngineSpec) -> Package:
    return Package(spec, bundle.id, this_target(CPU), BATCH)


@pytest.mark.slow
def test_a_package_scores_as_eager_does_where_the_flow_network_reads_frames_too(
    aot: NetworkEngine, framed: Bundle
) -> None:
    found = aot.errors(*CUBES)
    assert_close(found, eager(framed))
    assert not np.array_equal(found["frame"], eager(framed)["frame"])  # it is another program
    again = aot.errors(CUBES[0][9:10], CUBES[1][9:10])
    assert (again["flow"][0], again["frame"][0]) == (found["flow"][9], found["frame"][9])
    assert aot.overflows == 0


@pytest.mark.slow
def test_a_package_says_what_it_is_and_is_not_built_again(aot: NetworkEngine, framed: Bundle, spec: EngineSpec) -> None:
    kept = package(framed, spec)
    before = json.loads(Path(kept.about).read_text())
    assert (before["engine"], before["bundle"], before["batch"]) == ("aot", framed.id, BATCH)
    assert before["place"]["device"] == this_target(CPU).device
    assert before["difference"] < 1e-5
    assert (Path(spec.cache) / before["file"]).stat().st_size == before["bytes"]
    assert_close(make_engine(spec, framed, device=CPU, batch=BATCH).errors(*CUBES), eager(framed))
    assert json.loads(Path(kept.about).read_text()) == before


def copied(spec: EngineSpec, tmp_path: Path) -> EngineSpec:
    shutil.copytree(spec.cache, tmp_path / "engines")
    return replace(spec, cache=str(tmp_path / "engines"))


@pytest.mark.slow
def test_a_package_that_was_changed_is_not_loaded(
    aot: NetworkEngine, framed: Bundle, spec: EngineSpec, tmp_path: Path
) -> None:
    spec = copied(spec, tmp_path)
    file = next((tmp_path / "engines").glob("*.pt2"))
    data = file.read_bytes()
    file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(EngineError, match=r"\.pt2: not what .*\.json was written for; build it again"):
        make_engine(spec, framed, device=CPU, batch=BATCH)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../secret.pt2", "other.pt2", None])
def test_a_package_that_names_another_file_is_not_loaded(
    aot: NetworkEngine, framed: Bundle, spec: EngineSpec, tmp_path: Path, name: Any
) -> None:
    spec = copied(spec, tmp_path)
    about = Path(package(framed, spec).about)
    about.write_text(json.dumps({**json.loads(about.read_text()), "file": name}))
    with pytest.raises(EngineError, match="names another engine's file"):
        make_engine(spec, framed, device=CPU, batch=BATCH)


@pytest.mark.slow
def test_a_package_of_other_weights_is_refused(
    aot: NetworkEngine, framed: Bundle, spec: EngineSpec, tmp_path: Path
) -> None:
    model = framed.build(CPU)
    with torch.no_grad():
        model.cvae.decoder.head.bias += 0.01
    other = put_bundle(tmp_path / "other", model, framed.settings.model, framed.probe)
    forged = replace(spec, cache=str(tmp_path / "engines"))
    package(other, forged).put(package(framed, spec).fetch(tmp_path), {})
    with pytest.raises(EngineError, match=r"engine aot fp32 differs from eager by .* and 1e-05 is allowed"):
        make_engine(forged, other, device=CPU, batch=BATCH)


@pytest.mark.slow
def test_a_package_travels_through_s3(
    aot: NetworkEngine, framed: Bundle, spec: EngineSpec, s3: SeaweedServer, tmp_path: Path
) -> None:
    there = replace(spec, cache="s3://engines-of-test-engines/site")
    package(framed, there).put(package(framed, spec).fetch(tmp_path), {})
    assert_close(make_engine(there, framed, device=CPU, batch=BATCH).errors(*CUBES), eager(framed))


def test_a_batch_that_keeps_too_many_slots_is_scored_by_eager() -> None:
    config = replace(SMALL_MODEL, slots=600)
    model = golden_network(config).eval()
    inputs = EngineInputs(model, ProbeCubes(*make_cubes(4, 1)), CPU, BATCH, "fp32")
    network = Inference(model, dict.fromkeys(config.memories, 64), batch=BATCH)
    engine = NetworkEngine(network, inputs)
    reference = EagerEngine(model, device=CPU, batch=BATCH).errors(*CUBES)
    found = engine.errors(*CUBES)
    assert engine.overflows == 3
    assert np.array_equal(found["flow"], reference["flow"])
    assert np.array_equal(found["frame"], reference["frame"])


def test_engines_of_a_bundle_without_probe_cubes_are_compared_on_noise(bundle: Bundle) -> None:
    inputs = EngineInputs(bundle.build(CPU), NO_PROBE.or_noise(), CPU, BATCH, "fp32")
    engine = NetworkEngine(inputs.network(), inputs)
    assert len(inputs.probe) == 16
    assert check_parity(engine, inputs, EngineSpec(name="compiled")) < 1e-5


def test_scores_that_are_no_numbers_are_refused(bundle: Bundle) -> None:
    inputs = EngineInputs(bundle.build(CPU), bundle.probe, CPU, BATCH, "fp32")
    network = inputs.network()
    with torch.no_grad():
        network.autoencoder.head.bias.fill_(float("nan"))
    with pytest.raises(EngineError, match="differs from eager by nan"):
        check_parity(NetworkEngine(network, inputs), inputs, EngineSpec(name="compiled"))


def choose(bundle: Bundle, wanted: Any, cache: str, **changes: Any) -> tuple[str, str]:
    usual = {"precision": "fp32", "networks": NETWORKS, "bundle_id": bundle.id, "device": CPU, "batch": BATCH}
    found = choose_engine(wanted, cache=cache, **{**usual, **changes})
    return found.spec.label, found.why


@pytest.mark.slow
def test_auto_takes_a_package_that_fits_and_eager_where_none_does(
    aot: NetworkEngine, framed: Bundle, spec: EngineSpec, tmp_path: Path
) -> None:
    label, why = choose(framed, "auto", spec.cache)
    assert (label, spec.cache in why) == ("aot fp32", True)
    for changes in ({"batch": 9}, {"bundle_id": "0" * 16}, {"precision": "bf16"}, {"networks": ("flow",)}):
        label, why = choose(framed, "auto", spec.cache, **changes)
        assert (label, "hf2vad build-engine" in why) == ("eager fp32", True)
    assert choose(framed, "auto", str(tmp_path))[0] == "eager fp32"
    assert choose(framed, "compiled", str(tmp_path))[0] == "compiled fp32"
    torch.set_num_threads(2)
    try:
        assert choose(framed, "auto", spec.cache)[0] == "eager fp32"  # it was built for one thread
    finally:
        torch.set_num_threads(1)


def test_a_key_is_of_one_bundle_device_precision_batch_and_set_of_versions() -> None:
    target = Target(device="EPYC", ability="AVX512", threads=1, versions=(("torch", "2.13"),))
    spec = EngineSpec(name="aot")
    usual: dict[str, Any] = {"spec": spec, "bundle_id": "a", "target": target, "batch": 64}
    changes: list[dict[str, Any]] = [
        {},
        {"spec": replace(spec, name="tensorrt")},
        {"spec": replace(spec, networks=("flow",))},
        {"bundle_id": "b"},
        {"spec": replace(spec, precision="bf16")},
        {"batch": 65},
        {"target": replace(target, device="Xeon")},
        {"target": replace(target, ability="AVX2")},
        {"target": replace(target, threads=2)},
        {"target": replace(target, versions=(("torch", "2.14"),))},
    ]
    keys = {engine_key(**{**usual, **change}) for change in changes}
    assert len(keys) == len(changes)
    assert engine_key(**usual) in keys
    assert engine_key(**{**usual, "spec": replace(spec, cache="s3://elsewhere")}) == engine_key(**usual)


def test_the_key_of_a_package_of_both_networks_is_that_of_earlier_releases() -> None:
    target = Target(device="EPYC", ability="AVX512", threads=1, versions=(("torch", "2.13"),))
    assert engine_key(EngineSpec(name="aot"), "a", target, batch=64) == "d6afcb14c56eb77a"


@pytest.mark.parametrize("residual", ["pixels", "quarters", "mean"])
def test_the_graph_that_packages_are_compiled_from_gives_the_errors_of_each_residual(
    tmp_path: Path, residual: FlowResidual
) -> None:
    frames = reading_frames(tmp_path, residual)
    inputs = EngineInputs(frames.build(CPU), frames.probe, CPU, BATCH, "fp32", networks=("flow",))
    engine = NetworkEngine(export_network(inputs).module(), inputs)
    np.testing.assert_allclose(engine.errors(*CUBES)["flow"], eager(frames)["flow"], rtol=1e-5)


def test_the_form_of_the_flow_network_alone_is_half_of_that_of_both(bundle: Bundle) -> None:
    both = EngineInputs(bundle.build(CPU), bundle.probe, CPU, BATCH, "fp32")
    alone = replace(both, networks=("flow",))
    engines = [NetworkEngine(inputs.network(), inputs) for inputs in (both, alone)]
    found, flow = (engine.errors(*CUBES) for engine in engines)
    assert np.array_equal(found["flow"], flow["flow"])
    assert not any(name.startswith("cvae") for name, _ in alone.network().named_parameters())


def test_where_there_is_no_compiler_the_error_names_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert no_compiler() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("aot", "compiled"):
        with pytest.raises(
            EngineError, match=rf"engine {name} cannot be built: no C\+\+ compiler \(g\+\+\).*install g"
        ):
            make_engine(
                EngineSpec(name=name, cache=str(tmp_path)),  # type: ignore[arg-type]
                bundle,
                device=CPU,
                batch=BATCH,
            )


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is told where there is no GPU")
def test_where_there_is_no_tensorrt_the_error_says_how_to_get_it(bundle: Bundle, tmp_path: Path) -> None:
    spec = EngineSpec(name="tensorrt", precision="bf16", cache=str(tmp_path))
    with pytest.raises(EngineError, match=r"engine tensorrt cannot be built: .*(pip install 'hf2vad\[tensorrt\]'|GPU)"):
        make_engine(spec, bundle, device=CPU, batch=BATCH)


def test_precisions_that_cannot_be_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="--engine eager is the reference and computes in fp32, not bf16"):
        EngineSpec(name="eager", precision="bf16")
    with pytest.raises(ConfigError, match="--precision tf32 needs a GPU; on cpu give fp32 or bf16"):
        make_engine(EngineSpec(name="compiled", precision="tf32"), bundle, device=CPU, batch=BATCH)


def test_bf16_is_within_its_own_tolerance(bundle: Bundle) -> None:
    inputs = EngineInputs(bundle.build(CPU), bundle.probe, CPU, BATCH, "bf16")
    engine = NetworkEngine(inputs.network(), inputs)
    found = check_parity(engine, inputs, EngineSpec(name="compiled", precision="bf16"))
    assert 1e-5 < found < 3e-2
    with pytest.raises(EngineError, match="differs from eager"):
        check_parity(engine, inputs, EngineSpec(name="compiled"))
