"""Packages built and used by the jobs, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.bundle.bundle import load_bundle
from hf2vad.engines.choose import choose_engine
from hf2vad.engines.eager import EagerEngine
from hf2vad.engines.make import make_engine
from hf2vad.engines.network import NetworkEngine
from hf2vad.engines.settings import EngineSpec
from hf2vad.models.settings import NETWORKS, Network
from tests.site import ROOT, SMALL, Site, last_run, run_job
from tests.stc import make_cubes

DATA = ROOT.parent / "shared" / "data" / "ped2"
BATCH = ("--batch", 16)
pytestmark = pytest.mark.usefixtures("ray_cluster")


@dataclass(frozen=True)
class Scored:
    """An archive scored by both engines."""

    cache: Path
    eager: Path
    auto: Path
    said: str


def scores(out: Path, name: str = "score_raw") -> dict[str, np.ndarray]:
    return {path.name: pq.read_table(path)[name].to_numpy() for path in sorted(out.glob("bundle=*/frames/*.parquet"))}


def engines(out: Path) -> set[str]:
    found = [pq.read_schema(path).metadata for path in out.glob("bundle=*/frames/*.parquet")]
    return {json.loads(metadata[b"hf2vad.engine"]) for metadata in found}


@pytest.fixture(scope="module")
def bundle(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose score needs the flow network alone: to compile both takes most of a minute."""
    folder = tmp_path_factory.mktemp("flow")
    run_job("train", "--stc", site.stc, "--out", folder, *SMALL, "--fusion.frame=0", "--training.stages", "flow")
    return folder


@pytest.fixture(scope="module")
def scored(site: Site, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("engines")
    built = run_job("build_engine", "--bundle", bundle, "--engine-cache", folder / "cache", *BATCH)
    assert "differs from eager by" in built.stdout
    arguments = ("--archive", site.test, "--bundle", bundle, "--engine-cache", folder / "cache", *BATCH)
    run_job("score_archive", *arguments, "--out", folder / "eager", "--engine", "eager")
    auto = run_job("score_archive", *arguments, "--out", folder / "auto")
    return Scored(folder / "cache", folder / "eager", folder / "auto", auto.stdout)


def test_auto_says_that_it_takes_the_package_and_scores_agree(scored: Scored) -> None:
    assert "engine: aot fp32 on " in scored.said
    assert last_run(scored.auto)["engine"] == "aot fp32"
    assert last_run(scored.eager)["engine"] == "eager fp32"
    assert (engines(scored.auto), engines(scored.eager)) == ({"aot fp32"}, {"eager fp32"})
    for name in ("score_raw", "s_flow"):
        expected = scores(scored.eager, name)
        for video, found in scores(scored.auto, name).items():
            np.testing.assert_allclose(found, expected[video], rtol=1e-4 if name == "score_raw" else 1e-5)


def test_a_finished_video_is_not_scored_again_by_another_engine(site: Site, bundle: Path, scored: Scored) -> None:
    run_job("score_archive", "--archive", site.test, "--bundle", bundle, "--out", scored.auto, "--engine", "eager")
    record = last_run(scored.auto)
    assert (record["shards"], record["videos_skipped"]) == (0, record["videos"])
    assert engines(scored.auto) == {"aot fp32"}


def test_a_package_is_built_once(bundle: Path, scored: Scored) -> None:
    before = sorted(path.name for path in scored.cache.iterdir())
    again = run_job("build_engine", "--bundle", bundle, "--engine-cache", scored.cache, *BATCH)
    assert "nothing to do" in again.stdout
    assert sorted(path.name for path in scored.cache.iterdir()) == before
    assert [name.split("-")[0] for name in before] == ["aot", "aot"]


@pytest.fixture
def flow_engine(bundle: Path, scored: Scored) -> Iterator[tuple[EngineSpec, NetworkEngine]]:
    """The package of the flow network alone, in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as it was built
    spec = EngineSpec(name="aot", cache=str(scored.cache), networks=("flow",))
    engine = make_engine(spec, load_bundle(str(bundle)), device=torch.device("cpu"), batch=BATCH[1])
    assert isinstance(engine, NetworkEngine)
    yield spec, engine
    torch.set_num_threads(before)


def test_a_package_of_the_flow_network_alone_gives_its_errors_without_pixels(
    flow_engine: tuple[EngineSpec, NetworkEngine], bundle: Path, scored: Scored
) -> None:
    _, engine = flow_engine
    _, flow = make_cubes(19, 5)
    found = engine.errors(None, flow)
    assert found.keys() == {"flow"}
    eager = EagerEngine(load_bundle(str(bundle)).build(engine.device), device=engine.device, batch=BATCH[1])
    np.testing.assert_allclose(found["flow"], eager.errors(*make_cubes(19, 5))["flow"], rtol=1e-5)
    (about,) = scored.cache.glob("*.json")
    assert json.loads(about.read_text())["networks"] == ["flow"]


def test_a_package_of_the_flow_network_is_no_package_of_both(
    flow_engine: tuple[EngineSpec, NetworkEngine], bundle: Path
) -> None:
    spec, engine = flow_engine
    chosen: dict[tuple[Network, ...], str] = {
        networks: choose_engine(
            "auto", cache=spec.cache, precision="fp32", networks=networks, bundle_id=load_bundle(str(bundle)).id,
            device=engine.device, batch=BATCH[1],
        ).spec.label
        for networks in (("flow",), NETWORKS)
    }  # fmt: skip
    assert chosen == {("flow",): "aot fp32", NETWORKS: "eager fp32"}


def test_a_changed_package_ends_the_run_with_one_line(site: Site, bundle: Path, scored: Scored, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in scored.cache.iterdir():
        (cache / path.name).write_bytes(path.read_bytes() + (b"\0" if path.suffix == ".pt2" else b""))
    arguments = ("--archive", site.test, "--bundle", bundle, "--engine-cache", cache, *BATCH)
    done = run_job("score_archive", *arguments, "--out", tmp_path / "out", expect=2)
    assert "error: " in done.stderr
    assert "build it again (hf2vad build-engine)" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "tensorrt", "--device", "cpu"), "engine tensorrt cannot be built: "),
        (("--engine", "eager", "--precision", "bf16"), "--engine eager is the reference and computes in fp32"),
        (("--engine", "compiled", "--precision", "tf32", "--device", "cpu"), "--precision tf32 needs a GPU"),
    ],
)
def test_an_engine_that_cannot_be_is_one_line(
    site: Site, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    arguments = ("--archive", site.test, "--bundle", site.network, "--out", tmp_path)
    done = run_job("score_archive", *arguments, *options, expect=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no reference data at {DATA}")
def test_the_auroc_on_ped2_is_the_same_by_every_engine(bundle: Path, scored: Scored, tmp_path: Path) -> None:
    """By the bundle whose package is there: what it says of Ped2 need not be good, but the same."""
    archive, clips = ("--archive", DATA / "testing" / "frames", "--frames", ":100"), ("01", "04")
    truth = pq.read_table(DATA / "testing" / "frame_labels.parquet")
    some = truth.filter(pc.field("video").isin(clips) & (pc.field("frame") < 100))
    assert set(clips) == set(some.filter(pc.field("anomalous"))["video"].to_pylist())
    pq.write_table(some, tmp_path / "labels.parquet")
    found = {}
    for engine in ("eager", "aot"):
        arguments = (*archive, "--include", *clips, "--bundle", bundle, "--engine-cache", scored.cache, *BATCH)
        run_job("score_archive", *arguments, "--out", tmp_path / engine, "--engine", engine)
        run_job("evaluate", "--scores", tmp_path / engine, "--labels", tmp_path / "labels.parquet", "--out", tmp_path)
        found[engine] = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["eager"]["auroc_micro"] > 0.5
    for part in ("auroc_micro", "auroc_micro_raw"):
        assert abs(found["eager"][part] - found["aot"][part]) <= 0.0005
    assert engines(tmp_path / "aot") == {"aot fp32"}
