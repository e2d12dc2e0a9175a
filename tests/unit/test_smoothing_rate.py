"""Scores are smoothed over the same time whatever the rate of the footage, from the cubes to the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.bundle.bundle import save_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import ExtractionConfig, MotionConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job, training_plan
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.schema import unpack_metadata
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.scoring.smooth import smooth
from hf2vad.tables.read import scored_videos, scores_prefix
from hf2vad.training.data import StcTable
from hf2vad.video.timeline import UNTIMED_FPS
from tests.bundles import make_bundle
from tests.clips import Clip, pictures, write_clip
from tests.stc import SMALL_MODEL, put_clip

MOTION = MotionConfig(min_area=16)
HERE = RayConfig(address="none")
FRAMES = 24


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures at 25 and at 10 frames a second, and as a folder of images."""
    folder = tmp_path_factory.mktemp("archive")
    write_clip(folder / "fast.mp4", Clip(frames=FRAMES))
    write_clip(folder / "slow.mp4", Clip(frames=FRAMES, times=range(0, 100 * FRAMES, 100)))
    (folder / "images").mkdir()
    for number, image in enumerate(pictures(FRAMES, 64, 48)):
        cv2.imwrite(str(folder / "images" / f"{number:03d}.png"), image)
    return folder


def test_cubes_say_the_rate_of_their_video(archive: Path, tmp_path: Path) -> None:
    job = ExtractJob(archive=str(archive), out=str(tmp_path), shard_frames=9, motion=MOTION, ray=HERE)
    assert extract_job(job) == 0
    files = StcTable(str(tmp_path)).files
    assert {file.video: file.fps for file in files} == {"fast.mp4": 25.0, "slow.mp4": 10.0, "images": 0.0}
    assert len(files) == 9


def test_who_knows_the_rate_of_images_says_it(archive: Path, tmp_path: Path) -> None:
    job = ExtractJob(archive=str(archive), out=str(tmp_path), include=("images",), motion=MOTION, ray=HERE)
    for said, rate in ((0.0, 0.0), (12.5, 12.5), (50.0, 50.0), (0.0, 0.0)):  # and what was cut at another is cut anew
        assert extract_job(replace(job, image_fps=said)) == 0
        (file,) = StcTable(str(tmp_path)).files
        assert file.fps == pytest.approx(rate)
        times = pq.read_table(file.uri)["pts_s"].to_numpy() * (said or UNTIMED_FPS)
        assert times == pytest.approx(pq.read_table(file.uri)["frame"].to_numpy())


def test_each_video_is_smoothed_over_the_frames_that_last_as_long(archive: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = make_bundle(
        HF2VAD(SMALL_MODEL).state_dict(), extraction=ExtractionConfig(motion=MOTION), smoothing=SmoothingRule(5, 10.0)
    )
    save_bundle(str(tmp_path / "bundle"), bundle)
    job = ScoreJob.base({"bundle": str(tmp_path / "bundle")})
    job = replace(job, archive=str(archive), bundle=str(tmp_path / "bundle"), out=str(tmp_path / "scores"))
    job = replace(job, device="cpu", engine="eager", ray=HERE)
    assert score_job(job) == 0
    assert _windows(tmp_path / "scores") == {
        "fast.mp4": (13, [5, 10.0]),
        "slow.mp4": (5, [5, 10.0]),
        "images": (5, [5, 10.0]),
    }
    assert score_job(replace(job, image_fps=50.0)) == 0
    assert _windows(tmp_path / "scores") == {
        "fast.mp4": (13, [5, 10.0]),
        "slow.mp4": (5, [5, 10.0]),
        "images": (25, [5, 10.0]),
    }
    assert score_job(replace(job, smoothing=7)) == 0
    assert _windows(tmp_path / "scores") == dict.fromkeys(("fast.mp4", "slow.mp4", "images"), (7, None))


def test_ends_are_mirrored_in_tables_and_in_their_evaluation_as_the_bundle_says(archive: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rule = SmoothingRule(5, 10.0, "mirrored")
    bundle = make_bundle(HF2VAD(SMALL_MODEL).state_dict(), extraction=ExtractionConfig(motion=MOTION), smoothing=rule)
    save_bundle(str(tmp_path / "bundle"), bundle)
    assert load_bundle_settings(str(tmp_path / "bundle")).smoothing == rule
    job = ScoreJob.base({"bundle": str(tmp_path / "bundle")})
    job = replace(job, archive=str(archive), bundle=str(tmp_path / "bundle"), out=str(tmp_path / "scores"))
    for asked, expected in ((None, rule), (7, SmoothingRule(7, 0.0, "mirrored"))):
        assert score_job(replace(job, smoothing=asked, device="cpu", engine="eager", ray=HERE)) == 0
        for tables in scored_videos(scores_prefix(str(tmp_path / "scores"))):
            assert tables.smoothing == expected
            frames, window = tables.table("frames"), int(tables.metadata["smoothing"])
            raw, score = (frames[name].to_numpy() for name in ("score_raw", "score"))
            np.testing.assert_array_equal(score, smooth(raw, window, "mirrored"))
            assert np.nanmax(np.abs(score - smooth(raw, window))) > 0, "it makes a difference"


def test_an_event_lasts_as_long_whatever_the_rate(archive: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    extraction = ExtractionConfig(motion=MOTION)
    bundle = make_bundle(HF2VAD(SMALL_MODEL).state_dict(), extraction=extraction, smoothing=SmoothingRule(5, 10.0))
    save_bundle(str(tmp_path / "bundle"), bundle)
    job = replace(
        ScoreJob.base({"bundle": str(tmp_path / "bundle")}), archive=str(archive), out=str(tmp_path / "scores")
    )
    job = replace(job, bundle=str(tmp_path / "bundle"), device="cpu", engine="eager", ray=HERE)
    every = EventConfig(threshold=-1e9, low=-1e9, min_length=10)
    assert score_job(replace(job, events=every)) == 0
    assert _events(tmp_path / "scores") == {"fast.mp4": 0, "slow.mp4": 1, "images": 1}
    assert score_job(replace(job, events=replace(every, min_length=8))) == 0  # of the same scores
    assert _events(tmp_path / "scores") == {"fast.mp4": 1, "slow.mp4": 1, "images": 1}
    assert score_job(replace(job, events=every, smoothing=5)) == 0
    assert _events(tmp_path / "scores") == {"fast.mp4": 1, "slow.mp4": 1, "images": 1}


def _events(out: Path) -> dict[str, int]:
    """Events by video."""
    tables = [pq.read_table(path) for path in out.glob("*/events/*.parquet")]
    return {unpack_metadata(table.schema, "events", "")["video"]: table.num_rows for table in tables}


def _windows(out: Path) -> dict[str, tuple[int, list[float] | None]]:
    """Frames of the filter, and the bundle's rule, by video, as the tables of frames say them."""
    found = {}
    for path in out.glob("*/frames/*.parquet"):
        said = unpack_metadata(pq.read_schema(path), "frames", str(path))
        found[said["video"]] = (said["smoothing"], said.get("smoothing_rule"))
    return found


@pytest.mark.parametrize(("rates", "expected"), [((25.0, 0.0), 10.0), ((25.0, None), 0.0)])
def test_a_table_that_does_not_say_all_rates_is_smoothed_frame_by_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rates: tuple[float | None, ...], expected: float
) -> None:
    for number, fps in enumerate(rates):
        put_clip(tmp_path / "stc", f"clip{number}", (0, 40), dict.fromkeys(range(4, 40), 2), seed=number, fps=fps)
    job = replace(TrainJob.base({"preset": "features"}), stc=str(tmp_path / "stc"), out=str(tmp_path / "bundle"))
    assert (job.smoothing, job.smoothing_fps, job.smoothing_ends) == (17, 10.0, "mirrored")
    recipe, table = training_plan(job).recipe, StcTable(job.stc)
    assert recipe.smoothing_of(table) == SmoothingRule(17, expected, "mirrored")
    other = replace(recipe, smoothing=SmoothingRule(17, ends="mirrored"))
    assert (recipe.identity(table) == other.identity(table)) is (expected == 0.0)
    repeated = replace(recipe, smoothing=SmoothingRule(17, recipe.smoothing.fps))
    assert recipe.identity(table) != repeated.identity(table)
    assert train_job(job) == 0
    assert load_bundle_settings(job.out).smoothing == SmoothingRule(17, expected, "mirrored")
    said = "scores will be smoothed over 17 frames of any footage" in capsys.readouterr().out
    assert said is (expected == 0.0)
