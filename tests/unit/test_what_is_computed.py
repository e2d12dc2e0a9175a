"""Promise 8 in scoring: a network runs where a feature with a weight needs it, and calls carry what workers read."""

from __future__ import annotations

import contextlib
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.bundle.bundle import Bundle, save_bundle
from hf2vad.cluster.dispatch import Call
from hf2vad.cluster.inline import InlineCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.demo.archive import generate
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.cvae import CVAE
from hf2vad.models.memae import FlowAutoencoder
from tests.bundles import whole_bundle

HERE = RayConfig(address="none")
FEATURES = ("s_flow", "s_frame", "speed", "s_motion")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("archive"), train_clips=0, test_clips=1, frames=24).test


@contextlib.contextmanager
def networks_counted() -> Iterator[Counter[str]]:
    """Counts how often networks are built, and how often each of them runs."""
    counts: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for owner, method, name in (
            (Bundle, "build", "built"),
            (FlowAutoencoder, "forward", "flow"),
            (CVAE, "forward", "frame"),
        ):
            original = getattr(owner, method)

            def counted(self: Any, *args: Any, original: Any = original, name: str = name, **options: Any) -> Any:
                counts[name] += 1
                return original(self, *args, **options)

            patch.setattr(owner, method, counted)
        yield counts


def bundle_of(folder: Path, **weights: float) -> str:
    save_bundle(str(folder), whole_bundle(weights))
    return str(folder)


def scored(archive: Path, bundle: str, out: Path, **settings: Any) -> tuple[Counter[str], dict[str, pa.Table]]:
    job = replace(
        ScoreJob.base({"bundle": bundle}), archive=str(archive), bundle=bundle, out=str(out), device="cpu", ray=HERE
    )
    with networks_counted() as counts:
        assert score_job(replace(job, device="cpu", batch=16, engine="eager", **settings)) == 0
    tables = {name: list(out.glob(f"bundle=*/{name}/*.parquet")) for name in ("frames", "objects")}
    return counts, {name: pq.read_table(path) for name, (path,) in tables.items()}


def nulls(table: pa.Table) -> set[str]:
    return {name for name in FEATURES if table[name].null_count == len(table)}


@pytest.mark.slow
def test_without_weights_no_network_is_built_nor_run_and_its_columns_are_null(archive: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", speed=1.0, motion=0.5)
    counts, tables = scored(archive, bundle, tmp_path / "scores")
    assert counts == Counter()
    assert len(tables["objects"]) > 10
    assert nulls(tables["objects"]) == nulls(tables["frames"]) == {"s_flow", "s_frame"}
    assert tables["objects"]["score"].null_count == 0


@pytest.mark.slow
def test_without_a_weight_of_the_frame_only_the_flow_network_runs(archive: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", flow=1.0)
    counts, tables = scored(archive, bundle, tmp_path / "scores")
    assert counts["flow"] > 0
    assert counts["frame"] == 0
    assert nulls(tables["objects"]) == nulls(tables["frames"]) == {"s_frame", "s_motion"}


@pytest.mark.slow
def test_all_parts_computes_everything_and_changes_no_score(archive: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", flow=1.0)
    _, few = scored(archive, bundle, tmp_path / "few")
    counts, tables = scored(archive, bundle, tmp_path / "all", all_parts=True)
    assert counts["flow"] == counts["frame"] > 0
    assert nulls(tables["objects"]) == nulls(tables["frames"]) == set()
    for name in ("score", "s_flow", "speed"):
        assert tables["objects"][name].equals(few["objects"][name])
    assert tables["frames"]["score"].equals(few["frames"]["score"])


@pytest.mark.slow
def test_output_stays_as_it_is_unless_all_parts_asks_for_more(archive: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", flow=1.0)
    scored(archive, bundle, tmp_path / "scores")
    again, _ = scored(archive, bundle, tmp_path / "scores")
    assert again["flow"] == 0, "finished before"
    more, tables = scored(archive, bundle, tmp_path / "scores", all_parts=True)
    assert more["frame"] > 0
    assert nulls(tables["objects"]) == set()


@pytest.mark.slow
def test_all_parts_of_a_bundle_in_which_all_count_is_the_same_work(archive: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", flow=1.0, frame=0.1, speed=0.1, motion=0.1)
    scored(archive, bundle, tmp_path / "scores")
    again, _ = scored(archive, bundle, tmp_path / "scores", all_parts=True)
    assert again["flow"] == 0, "finished before"


@pytest.mark.slow
def test_calls_to_workers_carry_a_bundles_settings_and_not_its_arrays(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of(tmp_path / "bundle", flow=1.0, frame=0.1, motion=0.5)
    assert (tmp_path / "bundle" / "weights.safetensors").stat().st_size > 2**21
    sizes: Counter[str] = Counter()
    submit = InlineCluster.submit

    def noting(cluster: InlineCluster, call: Call) -> None:
        sizes[call.function.__name__] = len(pickle.dumps((call.function, call.args)))
        submit(cluster, call)

    monkeypatch.setattr(InlineCluster, "submit", noting)
    scored(archive, bundle, tmp_path / "scores")
    assert len(sizes) == 3, "a video is opened, worked on and closed"
    assert max(sizes.values()) < 2**15, sizes
