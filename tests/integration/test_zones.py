"""Zones in extraction, scoring and runs, on two cameras of the demo: a cyclist's lane is left out at one of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.archive.catalog import catalogue
from hf2vad.archive.zone_map import Zones
from hf2vad.archive.zones import NO_ZONES, CameraZones, Zone
from hf2vad.bundle.bundle import load_bundle
from hf2vad.demo.archive import generate
from hf2vad.jobs.score import ScoreJob
from hf2vad.report.site.evidence import video_key
from hf2vad.review.zone_store import ZoneChange, ZoneStore
from hf2vad.runs.scoring import scoring_task
from hf2vad.schema import BOX, F32
from hf2vad.storage import put_table
from hf2vad.tables.read import scores_prefix, video_tables
from hf2vad.walk.markers import Marks
from tests.site import Done, last_run, run_job, tables

HERE = ("--ray.address", "none")
KINDS = ("frames", "objects", "events", "health")


@dataclass(frozen=True)
class Street:
    folder: Path
    lane: CameraZones
    """The strip of the picture that the cyclist's wheels cross, to be ignored."""

    def zones(self, **cameras: CameraZones) -> Path:
        """A file with the zones of some cameras."""
        path = self.folder / f"{'-'.join(cameras) or 'none'}.json"
        path.write_text(json.dumps(Zones("", cameras).to_json()))
        return path

    def score(self, out: Path, *more: object) -> dict[str, Any]:
        places = ("--archive", self.folder / "cameras", "--bundle", self.folder / "bundle", "--out", out)
        run_job("score_archive", *places, *HERE, *more)
        return last_run(out)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """Cameras `gate` and `yard`, each with the clip of the cyclist, and a bundle that knows people who walk."""
    folder = tmp_path_factory.mktemp("street")
    made = generate(folder / "demo", train_clips=2, test_clips=2, frames=80)
    (clip,) = made.test.glob("*cyclist*")
    for camera in ("gate", "yard"):
        (folder / "cameras" / camera).mkdir(parents=True)
        shutil.copy(clip, folder / "cameras" / camera / "clip.mp4")
    run_job("extract_stc", "--archive", made.train, "--out", folder / "stc", "--preset", "features", *HERE)
    run_job("train", "--stc", folder / "stc", "--out", folder / "bundle", "--preset", "features")
    tracks = pq.read_table(made.tracks).to_pylist()
    feet = np.array([row["y2"] for row in tracks if row["video"] == clip.name and row["kind"] == "cyclist"]) / 240
    top, bottom = float(max(0, feet.min() - 0.02)), float(min(1, feet.max() + 0.02))
    lane = Zone("ignore", ((0.0, top), (1.0, top), (1.0, bottom), (0.0, bottom)))
    return Street(folder, CameraZones((lane,)))


def objects(out: Path) -> dict[str, F32]:
    """The boxes of each video's objects."""
    found = {each.video: each.table("objects") for each in video_tables(scores_prefix(str(out)), "objects")}
    return {video: np.stack([table[name].to_numpy() for name in BOX], axis=1) for video, table in found.items()}


def test_without_zones_and_with_empty_ones_the_bytes_are_the_same(street: Street, tmp_path: Path) -> None:
    street.score(tmp_path / "plain")
    record = street.score(tmp_path / "plain", "--zones", street.zones())
    assert (record["videos"], record["videos_skipped"]) == (2, 2), "empty zones are no other settings"
    street.score(tmp_path / "empty", "--zones", street.zones(gate=NO_ZONES))
    assert tables(tmp_path / "plain") == tables(tmp_path / "empty")
    assert len(tables(tmp_path / "plain")) == 8


def test_a_zone_over_the_cyclists_lane_drops_what_rides_there_and_nothing_else(street: Street, tmp_path: Path) -> None:
    street.score(tmp_path / "plain")
    street.score(tmp_path / "zoned", "--zones", street.zones(gate=street.lane))
    before, after = objects(tmp_path / "plain"), objects(tmp_path / "zoned")
    kept = street.lane.keeps(before["gate/clip.mp4"], (320, 240))
    assert 20 < kept.sum() < len(kept) - 20
    np.testing.assert_array_equal(after["gate/clip.mp4"], before["gate/clip.mp4"][kept])
    np.testing.assert_array_equal(after["yard/clip.mp4"], before["yard/clip.mp4"])


def test_only_the_camera_with_other_zones_is_made_anew_and_of_its_objects_where_they_suffice(
    street: Street, tmp_path: Path
) -> None:
    out, anew = tmp_path / "out", tmp_path / "anew"
    plain = street.score(out)
    assert plain["shards"] == 2
    before = tables(out)
    zones = street.zones(gate=street.lane)
    record = street.score(out, "--zones", zones)
    assert (record["videos_skipped"], record["shards"], record["narrowed"]) == (2, 0, 1)
    street.score(anew, "--zones", zones)
    assert tables(out) == tables(anew), "the objects that were there give what decoding gives"
    assert {name for name, content in tables(out).items() if content != before[name]} == {
        str((out / f"bundle={plain['bundle']}" / kind / "gate" / "clip.mp4.parquet").relative_to(out)) for kind in KINDS
    }

    record = street.score(out, "--zones", zones)
    assert (record["videos_skipped"], record["shards"]) == (2, 0), "it is done"
    record = street.score(out)
    assert (record["videos_skipped"], record["shards"]) == (1, 1), "objects that were dropped have to be cut again"
    assert tables(out) == before


@pytest.mark.parametrize("put", [1, 3])
def test_a_run_that_is_killed_while_it_puts_narrowed_tables_leaves_none_that_pass_for_whole_ones(
    street: Street, put: int, tmp_path: Path
) -> None:
    """And the zone is gone when the next run begins."""
    street.score(tmp_path)
    before = tables(tmp_path)
    places = {"archive": str(street.folder / "cameras"), "bundle": str(street.folder / "bundle"), "out": str(tmp_path)}
    job = replace(ScoreJob.base({"bundle": places["bundle"]}), **places)
    task = scoring_task(job, Zones("", {"gate": street.lane}))
    video = next(catalogue(job.archive))
    completion = task.layout.completion(video)
    assert completion is not None
    result = task.reuse(video, completion)
    assert result is not None
    Marks(task.layout.marks).remove(video, task.layout.state_of(completion))
    for name, table in result.tables[:put]:
        put_table(task.layout.table_uri(name, video), table)
    assert street.score(tmp_path)["shards"] == 1
    assert tables(tmp_path) == before


def test_what_a_zone_drops_is_not_taught(street: Street, tmp_path: Path) -> None:
    event = {"event": "0" * 16, "video": "gate/clip.mp4", "video_key": video_key("gate/clip.mp4"), "verdict": "normal"}
    part = {"start_frame": 20, "end_frame": 49, "start_s": 1.6, "end_s": 3.9}
    (tmp_path / "marks.json").write_text(json.dumps({"hf2vad.marks": 1, "marks": [event | part]}))
    places = ("--bundle", street.folder / "bundle", "--archive", street.folder / "cameras")
    taught = {}
    for name, more in (("all", ()), ("zoned", ("--zones", street.zones(gate=street.lane)))):
        out = tmp_path / name
        run_job("teach", *places, "--reviews", tmp_path / "marks.json", "--out", out, *more)
        taught[name] = len(load_bundle(str(out)).taught)
    assert 0 <= taught["zoned"] < taught["all"]


def test_vectors_are_kept_of_other_objects_so_the_footage_is_scored_again(street: Street, tmp_path: Path) -> None:
    street.score(tmp_path, "--vectors", 2)
    record = street.score(tmp_path, "--vectors", 2, "--zones", street.zones(yard=street.lane))
    assert (record["videos_skipped"], record["shards"]) == (1, 1)


def test_backfill_takes_zones_that_were_drawn_beside_the_marks(street: Street, tmp_path: Path) -> None:
    store = ZoneStore(str(tmp_path / "site" / "reviews" / "zones"))
    store.change(ZoneChange("", "yard", street.lane, NO_ZONES))
    places = (street.folder / "cameras", "--bundle", street.folder / "bundle", "--out", tmp_path / "out")
    common = (*places, "--min-age-minutes", 0, *HERE)
    run_job("backfill", *common, "--zones", tmp_path / "site")
    before = objects(tmp_path / "out")
    assert len(before["yard/clip.mp4"]) < len(before["gate/clip.mp4"])
    run_job("backfill", *common, "--zones", tmp_path / "site" / "reviews")
    assert last_run(tmp_path / "out")["videos_skipped"] == 2
    store.change(ZoneChange("", "gate", street.lane, NO_ZONES))
    run_job("backfill", *common, "--zones", tmp_path / "site")
    record = last_run(tmp_path / "out")
    assert (record["videos_skipped"], record["shards"], record["narrowed"]) == (2, 0, 1)


def cubes(out: Path) -> dict[str, Any]:
    return {path.parent.parent.name: pq.read_table(path) for path in sorted((out / "stc").rglob("*.parquet"))}


@pytest.mark.parametrize("more", [("--max-cubes", 0), ()], ids=["everything", "a sample"])
def test_cubes_of_a_zone_are_not_extracted_and_other_cameras_not_again(
    street: Street, more: tuple[object, ...], tmp_path: Path
) -> None:
    job = ("--archive", street.folder / "cameras", "--out", tmp_path, "--preset", "features", *HERE, *more)
    run_job("extract_stc", *job)
    before = cubes(tmp_path)
    run_job("extract_stc", *job, "--zones", street.zones(gate=street.lane))
    record, after = last_run(tmp_path), cubes(tmp_path)
    assert record["shards"] == 1
    boxes = np.stack([before["gate"][name].to_numpy() for name in BOX], axis=1)
    kept = street.lane.keeps(boxes, (320, 240))
    assert 20 < kept.sum() < len(kept)
    assert after["gate"].to_pylist() == before["gate"].filter(kept).to_pylist()
    assert after["yard"].equals(before["yard"])


def test_a_run_takes_what_was_drawn_in_its_own_site(street: Street, tmp_path: Path) -> None:
    out = tmp_path / "found"
    run_job("run", street.folder / "cameras", "--out", out, *HERE)
    before = objects(out / "scores")
    for camera in ("gate", "taken down"):
        ZoneStore(str(out / "reviews" / "zones")).change(ZoneChange("", camera, street.lane, NO_ZONES))
    assert "\nzones: gate, taken down\n" in run_job("run", "--out", out, *HERE).stdout
    after = objects(out / "scores")
    assert len(after["gate/clip.mp4"]) < len(before["gate/clip.mp4"])
    np.testing.assert_array_equal(after["yard/clip.mp4"], before["yard/clip.mp4"])
    assert last_run(out / "scores")["shards"] == 0


def mistaken(street: Street, path: Path | str, job: str = "score_archive") -> Done:
    places = ("--archive", street.folder / "cameras", "--out", street.folder / "never", *HERE)
    bundle = () if job == "extract_stc" else ("--bundle", street.folder / "bundle")
    return run_job(job, *places, *bundle, "--zones", path, expect=2)


@pytest.mark.parametrize("job", ["score_archive", "extract_stc", "backfill"])
def test_a_camera_that_is_not_there_is_a_mistake_that_names_those_there(street: Street, job: str) -> None:
    said = mistaken(street, street.zones(gaet=street.lane), job).stderr
    assert said.count("\n") == 1
    assert "--zones: gaet: no such camera" in said
    assert "there are gate, yard: rename" in said
    assert not (street.folder / "never").exists()


def test_mistakes_in_a_file_of_zones_are_one_line(street: Street, tmp_path: Path) -> None:
    two = {"hf2vad.zones": 1, "cameras": {"gate": [{"kind": "ignore", "points": [[0, 0], [1, 1]]}]}}
    (tmp_path / "two.json").write_text(json.dumps(two))
    said = mistaken(street, tmp_path / "two.json").stderr
    assert said == f"error: {tmp_path / 'two.json'}: gate, zone 1: a zone has 3 to 200 points, got 2\n"
    said = mistaken(street, tmp_path).stderr
    assert said.startswith(f"error: --zones {tmp_path}: no zones there; give a review site")
    assert said.count("\n") == 1
