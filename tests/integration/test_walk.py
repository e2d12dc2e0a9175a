"""The walk from an archive to scores, through the jobs as a user runs them."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.schema import EVENTS, FRAMES_TABLE, OBJECTS
from tests.site import (
    SMALL,
    TINY,
    Site,
    environment,
    job,
    kill_busy,
    last_run,
    meanwhile,
    ray_workers,
    run_job,
    tables,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("ray_cluster")


def score(site: Site, out: Path, *more: object, expect: int = 0) -> Path:
    """Score the test clips; returns the folder of the bundle's tables."""
    run_job("score_archive", "--archive", site.test, "--bundle", site.bundle, "--out", out, *more, expect=expect)
    (found,) = out.glob("bundle=*")
    return found


@pytest.fixture(scope="module")
def quiet(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of an undisturbed run with shards of 10 frames."""
    out = tmp_path_factory.mktemp("quiet")
    score(site, out, "--shard-frames", 10)
    return out


def test_every_frame_has_one_row_and_the_first_four_have_no_score(quiet: Path) -> None:
    found = sorted(quiet.glob("bundle=*/frames/*.parquet"))
    assert [path.name for path in found] == ["01_runner.mp4.parquet", "02_cyclist.mp4.parquet", "03_cart.mp4.parquet"]
    for path in found:
        table = pq.read_table(path)
        assert table.schema.remove_metadata().equals(FRAMES_TABLE)
        assert table["frame"].to_pylist() == list(range(60))
        assert table["score"].to_pylist()[:4] == [None] * 4
        assert table["score"].null_count == table["score_raw"].null_count == 4
        np.testing.assert_allclose(table["pts_s"].to_numpy(), np.arange(60) / 12.5, atol=1e-9)


def test_the_tables_agree_with_each_other(quiet: Path) -> None:
    for path in quiet.glob("bundle=*/frames/*.parquet"):
        frames = pq.read_table(path)
        objects = pq.read_table(path.parents[1] / "objects" / path.name)
        events = pq.read_table(path.parents[1] / "events" / path.name)
        assert (objects.schema.names, objects.schema.types) == (OBJECTS.names, OBJECTS.types)
        assert events.schema.remove_metadata().equals(EVENTS)
        counts = np.bincount(objects["frame"].to_numpy(), minlength=60)
        np.testing.assert_array_equal(frames["n_objects"].to_numpy(), counts)
        for row in frames.slice(4).to_pylist():
            scores = objects["score"].to_numpy()[objects["frame"].to_numpy() == row["frame"]]
            if len(scores):
                assert row["score_raw"] == scores.max()


def test_the_run_is_recorded(quiet: Path) -> None:
    record = last_run(quiet)
    assert record["videos"] == 3
    assert record["frames"] == 180
    assert record["failures"] == 0
    assert record["shards"] == 18
    assert record["video_hours_per_day"] > 0
    assert record["model_loads"] <= record["workers"] + 1, "workers stay warm from shard to shard"


def test_running_again_computes_nothing(site: Site, quiet: Path) -> None:
    before = tables(quiet)
    score(site, quiet, "--shard-frames", 10)
    record = last_run(quiet)
    assert (record["shards"], record["videos_skipped"]) == (0, 3)
    assert tables(quiet) == before


def test_shard_length_does_not_show(site: Site, quiet: Path, tmp_path: Path) -> None:
    score(site, tmp_path, "--shard-frames", 23)
    for name, content in tables(quiet).items():
        ours, theirs = pq.read_table(tmp_path / name), pq.read_table(quiet / name)
        assert ours.column_names == theirs.column_names, len(content)
        for column in ours.column_names:
            if ours.schema.field(column).type in ("string", "int32") or column.startswith(("x", "y")):
                assert ours[column].equals(theirs[column])
            else:
                a, b = ours[column].to_numpy(), theirs[column].to_numpy()
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_same_run_gives_the_same_bytes(site: Site, quiet: Path, tmp_path: Path) -> None:
    score(site, tmp_path, "--shard-frames", 10, "--ray.workers", 1)
    assert tables(tmp_path) == tables(quiet)


def test_a_killed_worker_costs_its_shard_another_try_and_nothing_else(site: Site, quiet: Path, tmp_path: Path) -> None:
    def kill_one(over: threading.Event) -> None:
        wait_until(lambda: list(tmp_path.rglob("shards/**/*.parquet")), seconds=90, what="first shard")
        kill_busy("run_shard")

    with meanwhile(kill_one):
        score(site, tmp_path, "--shard-frames", 10)
    assert last_run(tmp_path)["retried"] >= 1
    assert tables(tmp_path) == tables(quiet)


def test_a_killed_driver_loses_no_finished_shard(site: Site, quiet: Path, tmp_path: Path) -> None:
    command = job(
        "score_archive", "--archive", site.test, "--bundle", site.bundle, "--out", tmp_path, "--shard-frames", 10
    )

    def finished() -> int:
        """Shards that are there; those of a finished video are its table counts, their files may still be there."""
        tables = {path.name.removesuffix(".parquet") for path in tmp_path.rglob("frames/*.parquet")}
        shards = [path for path in tmp_path.rglob("shards/**/*.parquet") if path.parent.name not in tables]
        return len(shards) + 6 * len(tables)

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as running:
        wait_until(lambda: finished() >= 4, seconds=90, what="four shards")
        running.kill()
        running.wait()
    wait_until(lambda: not ray_workers("run_shard"), seconds=30, what="the orphaned tasks' end")
    there = finished()
    assert there < 18, "the run was over before it was killed"
    score(site, tmp_path, "--shard-frames", 10)
    record = last_run(tmp_path)
    assert record["shards"] + there == 18
    assert tables(tmp_path) == tables(quiet)


def test_extraction_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    arguments = ("--archive", site.train, "--out", tmp_path, "--flow.scale", 1, "--shard-frames", 50)
    run_job("extract_stc", *arguments, "--include", "normal_01.mp4")
    run_job("extract_stc", *arguments)
    assert (last_run(tmp_path)["videos_skipped"], last_run(tmp_path)["shards"]) == (1, 2)
    ours = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert ours == {path.relative_to(site.stc): path.read_bytes() for path in site.stc.rglob("*.parquet")}


def test_other_extraction_settings_replace_the_table_and_leave_no_stale_file(site: Site, tmp_path: Path) -> None:
    arguments = ("--archive", site.train, "--out", tmp_path, "--flow.scale", 1)
    run_job("extract_stc", *arguments, "--shard-frames", 25)
    run_job("extract_stc", *arguments, "--shard-frames", 50)
    names = sorted(path.name for path in tmp_path.rglob("normal_01.mp4/*.parquet"))
    assert [name[:18] for name in names] == ["00000000-00000050-", "00000050-00000060-"]


def test_a_part_of_every_video_can_be_scored(site: Site, tmp_path: Path) -> None:
    found = score(site, tmp_path, "--frames", "50%:", "--include", "01_*")
    (table,) = (pq.read_table(path) for path in (found / "frames").iterdir())
    assert table["frame"].to_pylist() == list(range(30, 60))
    assert table["score"].null_count == 0


def test_evaluation_of_the_scores(site: Site, quiet: Path, tmp_path: Path) -> None:
    run_job("evaluate", "--scores", quiet, "--labels", site.labels, "--out", tmp_path)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert (result["frames"], result["dropped"], result["videos"]) == (168, 12, 3)
    for name in ("auroc_micro", "auroc_micro_raw", "auroc_macro"):
        assert 0 <= result[name] <= 1
    assert result["chosen_on_labels"] == "nothing"


def test_training_again_with_the_same_settings_has_nothing_to_do(site: Site) -> None:
    before = (site.network / "bundle.json").read_bytes()
    done = run_job("train", "--stc", site.stc, "--out", site.network, *TINY)
    assert "already trained" in done.stdout
    assert (site.network / "bundle.json").read_bytes() == before
    refused = run_job("train", "--stc", site.stc, "--out", site.network, *TINY, "--training.seed", 1, expect=2)
    assert "choose another --out" in refused.stderr


def test_select_puts_what_it_saw_into_the_bundle_and_scoring_follows_its_choice(site: Site, tmp_path: Path) -> None:
    stc = ("--out", tmp_path / "stc", "--shard-frames", 50, "--detector.kinds", "motion")
    run_job("extract_stc", "--archive", site.train, *stc)  # of these boxes, what is chosen needs a network
    small = ("--selection.slots", 4, "--selection.steps", 4, "--selection.cubes", 100)
    done = run_job("train", "--stc", tmp_path / "stc", "--out", tmp_path / "bundle", *SMALL, "--select", *small)
    assert "no label was read" in done.stdout
    known = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    figures = known["provenance"]["selection"]
    assert [row["step"] for row in figures if row["chosen"]] == ["network", "density", "fusion"]
    assert sorted(path.name for path in (tmp_path / "bundle" / "checkpoints").rglob("*.*")) == [
        "last.safetensors",
        "selection.json",
    ]
    again = run_job("train", "--stc", tmp_path / "stc", "--out", tmp_path / "bundle", *SMALL, "--select", *small)
    assert "nothing to do" in again.stdout
    run_job("score_archive", "--archive", site.test, "--bundle", tmp_path / "bundle", "--out", tmp_path / "scores")
    (path, *_) = (tmp_path / "scores").glob("bundle=*/objects/*.parquet")
    moving = pq.read_table(path)["s_motion"].to_numpy()
    assert (moving > 0).any() == (known["density"]["kind"] != "none")
