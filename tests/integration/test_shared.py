"""Real footage, where the reference data lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.site import ROOT, SMALL, RayCluster, last_run, run_job

DATA = ROOT.parent / "shared" / "data"
FRAMES = 120
CLIP = ("--archive", DATA / "videos", "--include", "vtest.avi", "--frames", f"0:{FRAMES}")
LENGTHS = (37, 100, 10_000)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no reference data at {DATA}"),
    pytest.mark.usefixtures("ray_cluster"),
]


def cubes(stc: Path) -> pa.Table:
    files = sorted(stc.rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path).replace_schema_metadata(None) for path in files])


@pytest.fixture(scope="module")
def tables(ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The cubes of a part of vtest.avi, by shard length."""
    out = {length: tmp_path_factory.mktemp(f"stc_{length}") for length in LENGTHS}
    for length, folder in out.items():
        run_job("extract_stc", *CLIP, "--out", folder, "--shard-frames", length)
    return out


@pytest.fixture(scope="module")
def bundle(tables: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    run_job("train", "--stc", tables[100], "--out", folder, *SMALL)
    return folder


def test_shards_do_not_show_in_the_cubes_of_real_video(tables: dict[int, Path]) -> None:
    whole = cubes(tables[10_000])
    assert whole.num_rows > 250
    for length in LENGTHS:
        assert len(list(tables[length].rglob("*.parquet"))) == -(-FRAMES // length)
        assert cubes(tables[length]).equals(whole), f"shards of {length} give other cubes"


def test_shards_do_not_show_in_the_scores_of_real_video(bundle: Path, tmp_path: Path) -> None:
    scores = {}
    for length in LENGTHS:
        run_job("score_archive", *CLIP, "--bundle", bundle, "--out", tmp_path / str(length), "--shard-frames", length)
        (path,) = (tmp_path / str(length)).glob("bundle=*/frames/*.parquet")
        scores[length] = pq.read_table(path)["score"].to_numpy()
    for length in LENGTHS:
        np.testing.assert_allclose(scores[length], scores[10_000], rtol=1e-5, atol=0)


def test_folders_of_images_are_scored_against_text_labels(bundle: Path, tmp_path: Path) -> None:
    frames = DATA / "ped2" / "testing" / "frames"
    arguments = ("--archive", frames, "--include", "0[13]", "--bundle", bundle, "--out", tmp_path / "scores")
    run_job("score_archive", *arguments, "--frames", "0:100")
    assert last_run(tmp_path / "scores")["frames"] == 200
    truth = pq.read_table(DATA / "ped2" / "testing" / "frame_labels.parquet").to_pylist()
    (tmp_path / "labels").mkdir()
    for video in ("01", "03"):
        marks = "".join(str(int(row["anomalous"])) for row in truth if row["video"] == video and row["frame"] < 100)
        (tmp_path / "labels" / f"{video}.txt").write_text(marks)
    run_job("evaluate", "--scores", tmp_path / "scores", "--labels", tmp_path / "labels", "--out", tmp_path)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert (result["frames"], result["dropped"], result["videos"]) == (192, 8, 2)
