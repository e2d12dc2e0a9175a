"""Archives with names: cameras are those of the paths in each archive, to whoever scores, sets alarms or looks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.archive.archive_refs import find_in, parse_archives
from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.bundle import save_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.commandline import EXIT_OK
from hf2vad.cubes.settings import ExtractionConfig, WorkingConfig
from hf2vad.demo.archive import generate
from hf2vad.evaluation.alarms import AlarmTarget, alarm_levels
from hf2vad.jobs.backfill import BackfillJob, backfill_job
from hf2vad.jobs.report import ReviewJob, review_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.report.site.evidence import video_key
from hf2vad.schema import unpack_metadata
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.storage import key_path
from hf2vad.tables.archives import archive_names
from tests.bundles import make_bundle, normal
from tests.evidence import HERE
from tests.site import site_data
from tests.stc import SMALL_MODEL

PATTERN = "{camera}/{date}/*"
OVERALL = normal(flow=(900.0, 300.0), frame=(400.0, 100.0), threshold=-9.0, low=-9.0)
CAMERAS = {
    "gate": normal(flow=(800.0, 300.0), frame=(400.0, 100.0), threshold=-7.0, low=-7.5),
    "yard": normal(flow=(700.0, 300.0), frame=(400.0, 100.0), threshold=-5.0, low=-5.5),
}
NORTH = ("gate/2026-11-23/a.mp4", "gate/2026-11-24/a.mp4", "yard/2026-11-24/b.mp4")
SOUTH = ("gate/2026-11-24/a.mp4", "shed/2026-11-24/c.mp4")
VIDEOS = (*(f"north/{path}" for path in NORTH), *(f"south/{path}" for path in SOUTH))


@dataclass(frozen=True)
class Night:
    """Two archives of short clips, and their scores by a bundle with calibrations for two cameras."""

    folder: Path

    @property
    def archives(self) -> tuple[str, ...]:
        return f"north={self.folder / 'north'}", f"south={self.folder / 'south'}"

    @property
    def bundle(self) -> str:
        return str(self.folder / "bundle")

    def backfill(self, out: Path, **settings: Any) -> int:
        job = BackfillJob.base({"bundle": self.bundle})
        job = replace(job, archive=self.archives, bundle=self.bundle, out=str(out), pattern=PATTERN, device="cpu")
        return backfill_job(replace(job, engine="eager", batch=16, min_age_minutes=0, ray=HERE, **settings))

    def report(self, site: Path, **settings: Any) -> dict[str, Any]:
        """The summary of a site that is made of this night with its pattern."""
        job = ReviewJob(scores=str(self.folder / "scores"), out=str(site), pattern=PATTERN, ray=HERE, **settings)
        assert review_job(job) == EXIT_OK
        return site_data(site, "summary")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    made = Night(tmp_path_factory.mktemp("night"))
    clips = sorted(generate(made.folder / "clips", train_clips=0, test_clips=2, frames=14).test.glob("*.mp4"))
    for number, video in enumerate(VIDEOS):
        (made.folder / video).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips[number % 2], made.folder / video)
    torch.manual_seed(0)
    bundle = make_bundle(
        HF2VAD(SMALL_MODEL).state_dict(),
        extraction=ExtractionConfig(working=WorkingConfig(longest=200)),
        smoothing=SmoothingRule(1),
        calibration=OVERALL,
        camera_pattern=PATTERN,
        cameras=CAMERAS,
    )
    save_bundle(made.bundle, bundle)
    assert made.backfill(made.folder / "scores") == EXIT_OK
    return made


def table(out: Path, video: str, name: str) -> Any:
    (prefix,) = out.glob("bundle=*")
    return pq.read_table(prefix / name / f"{key_path(video)}.parquet")


def thresholds(out: Path) -> dict[str, list[float]]:
    return {video: unpack_metadata(table(out, video, "frames").schema, "frames", "")["thresholds"] for video in VIDEOS}


def page(site: Path, video: str) -> Mapping[str, Any]:
    return site_data(site, f"videos/{video_key(video)}")


@pytest.mark.slow
def test_videos_of_named_archives_are_scored_by_their_cameras_calibrations(night: Night) -> None:
    found = thresholds(night.folder / "scores")
    calibrations = {video: CAMERAS.get(video.split("/")[1], OVERALL) for video in VIDEOS}
    assert found == {video: [known.threshold, known.low] for video, known in calibrations.items()}


@pytest.mark.slow
def test_an_archives_name_changes_ids_and_nothing_else(night: Night, tmp_path: Path) -> None:
    job = replace(ScoreJob.base({"bundle": night.bundle}), archive=str(night.folder / "north"), bundle=night.bundle)
    job = replace(job, out=str(tmp_path), device="cpu", engine="eager", batch=16, ray=HERE)
    assert score_job(job) == EXIT_OK
    (prefix,) = tmp_path.glob("bundle=*")
    assert not (prefix / "archives.json").exists()
    for path in NORTH:
        for name in ("frames", "objects", "events", "health"):
            alone = table(tmp_path, path, name)
            named = table(night.folder / "scores", f"north/{path}", name)
            assert named.drop_columns("video").equals(alone.drop_columns("video"))
            before, after = (unpack_metadata(each.schema, name, "") for each in (alone, named))
            assert after == before | {"video": f"north/{path}"}


def test_alarms_are_set_and_used_by_camera(night: Night, tmp_path: Path) -> None:
    events = EventConfig(min_length=1, merge_gap=0, low=-50.0)
    (prefix,) = (night.folder / "scores").glob("bundle=*")
    target = AlarmTarget(per_hour=3590.0, events=events, resamples=0)
    alarms, levels = alarm_levels(str(prefix), target, PathPattern.of_camera(PATTERN))
    assert set(levels) == {"", "gate", "yard", "shed"}
    assert levels["gate"].hours == pytest.approx(3 * levels["yard"].hours)
    own = {"gate": 1.5, "yard": 2.5}
    replace(alarms, cameras=own).put(str(tmp_path / "alarms.json"))
    shutil.copytree(night.folder / "scores", tmp_path / "scores")
    assert night.backfill(tmp_path / "scores", alarms=str(tmp_path / "alarms.json"), events=events) == EXIT_OK
    found = {video: values[0] for video, values in thresholds(tmp_path / "scores").items()}
    assert found == {video: own.get(video.split("/")[1], alarms.threshold) for video in VIDEOS}


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False], ids=["archives given", "scores alone"])
def test_a_report_with_the_same_pattern_shows_the_night(night: Night, tmp_path: Path, named: bool) -> None:
    archives = {"archive": night.archives, "media": "transcode"} if named else {}
    summary = night.report(tmp_path / "site", bundle=night.bundle, **archives)
    assert summary["videos"] == len(VIDEOS)
    assert summary["cameras"] == ["north/gate", "north/yard", "south/gate", "south/shed"]
    assert page(tmp_path / "site", VIDEOS[1])["when"] == "2026-11-24"
    players = [page(tmp_path / "site", video)["media"]["src"] for video in VIDEOS]
    assert all((tmp_path / "site" / player).is_file() for player in players) if named else players == [""] * len(VIDEOS)

    few = night.report(tmp_path / "few", cameras=("gate",), since="2026-11-24", **archives)
    assert (few["videos"], few["cameras"]) == (2, ["north/gate", "south/gate"])


def test_parts_of_events_are_by_the_cameras_calibration(night: Night, tmp_path: Path) -> None:
    night.report(tmp_path / "site", bundle=night.bundle, archive=night.archives, media="none")
    bundle = load_bundle_settings(night.bundle)
    events = site_data(tmp_path / "site", "events/0")
    assert {event["camera"] for event in events} >= {"north/gate", "south/gate", "north/yard"}
    for event in events:
        objects = table(night.folder / "scores", event["name"], "objects").to_pylist()
        best = max((row for row in objects if row["frame"] == event["shown_frame"]), key=lambda row: row["score"])
        normal_flow = CAMERAS.get(event["camera"].split("/")[1], OVERALL).moments["flow"]
        flow = bundle.fusion.weights["flow"] * (best["s_flow"] - normal_flow.mean) / normal_flow.std
        assert event["parts"]["flow"] == pytest.approx(flow, abs=1e-3)


def test_tables_from_before_the_names_were_kept_are_shown_where_the_archives_are_named(
    night: Night, tmp_path: Path
) -> None:
    shutil.copytree(night.folder / "scores", tmp_path / "scores")
    (prefix,) = (tmp_path / "scores").glob("bundle=*")
    (prefix / "archives.json").unlink()
    before = Night(tmp_path)
    named = before.report(tmp_path / "site", archive=night.archives, media="none")
    assert (named["videos"], named["cameras"][0]) == (len(VIDEOS), "north/gate")


def test_names_of_archives_add_up_from_run_to_run(night: Night) -> None:
    (prefix,) = (night.folder / "scores").glob("bundle=*")
    assert archive_names(str(prefix)) == {"north", "south"}
    assert archive_names(str(prefix), parse_archives("west=/w")) == {"north", "south", "west"}
    assert json.loads((prefix / "archives.json").read_text()) == {"names": ["north", "south"]}


def test_a_scored_video_is_found_in_the_archive_that_its_id_names(night: Night) -> None:
    sources = parse_archives(night.archives)
    video = find_in(sources, "south/gate/2026-11-24/a.mp4")
    assert video is not None
    assert (video.id, video.source, video.path) == ("south/gate/2026-11-24/a.mp4", "south", "gate/2026-11-24/a.mp4")
    assert video.uri == str(night.folder / "south" / video.path)
    assert find_in(sources, "north/shed/2026-11-24/c.mp4") is None
    assert find_in(sources, "gate/2026-11-24/a.mp4") is None
