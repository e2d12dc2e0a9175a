"""Archives as recorders lay them out: a camera is one camera in every job and on the site, without a pattern."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.demo.archive import generate
from hf2vad.tables.read import scored_videos, scores_prefix
from tests.site import run_job, site_data

HERE = ("--ray.address", "none")
LAYOUTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "Frigate": (
        "{day}/{hour}/{camera}/15.30.mp4",
        ("front", "yard"),
    ),
    "Reolink": (
        "{camera}/Mp4Record/{day}/RecM01_{digits}_{hour}1530_{hour}1540_6D28808_1A468F9.mp4",
        ("front", "yard"),
    ),
    "Hikvision": (
        "192.168.0.64_{camera}_{digits}{hour}1530939_MOTION_DETECTION.mp4",
        ("01", "02"),
    ),
}
"""Path form of each recorder, and the parts of it that name two cameras."""
CAMERAS = {
    "Frigate": ["front", "yard"],
    "Reolink": ["front", "yard"],
    "Hikvision": ["192.168.0.64_01", "192.168.0.64_02"],
}
DAYS = ("2026-11-24", "2026-11-25")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return sorted(generate(folder, seed=3, train_clips=4, test_clips=0, frames=25).train.glob("*.mp4"))


def archive(folder: Path, recorder: str, clips: Sequence[Path]) -> Path:
    """Two cameras, each with all clips, half of them on each of two days."""
    form, cameras = LAYOUTS[recorder]
    for camera in cameras:
        for number, clip in enumerate(clips):
            day, hour = DAYS[2 * number // len(clips)], f"{20 + number}"
            path = folder / form.format(camera=camera, day=day, digits=day.replace("-", ""), hour=hour)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, path)
    return folder


@pytest.mark.parametrize("recorder", LAYOUTS)
def test_a_recorders_camera_is_one_in_training_scoring_and_on_the_site(
    recorder: str, clips: Sequence[Path], tmp_path: Path
) -> None:
    videos, out = archive(tmp_path / "videos", recorder, clips), tmp_path / "found"
    said = run_job("run", videos, "--out", out, *HERE).stdout
    assert "8 videos of 2 cameras: " in said
    assert f"cameras from names ({recorder}): {', '.join(CAMERAS[recorder])}\n" in said
    bundle = load_bundle_settings(str(out / "bundle"))
    assert list(bundle.cameras) == CAMERAS[recorder]
    scored = [video.path for video in scored_videos(scores_prefix(str(out / "scores")))]
    assert len(scored) == 4
    assert all(DAYS[1] in path or DAYS[1].replace("-", "") in path for path in scored)  # the newer half of each camera
    assert sorted({bundle.camera_of(path) for path in scored}) == CAMERAS[recorder]
    assert site_data(out, "summary")["cameras"] == CAMERAS[recorder]
    again = run_job("run", "--out", out, *HERE).stdout
    assert "0 to learn from" not in again
    assert "has not learnt it apart" not in again


def test_the_jobs_one_by_one_take_the_same_cameras_and_say_which(clips: Sequence[Path], tmp_path: Path) -> None:
    videos = archive(tmp_path / "videos", "Frigate", clips[:2])
    stc, bundle, out = tmp_path / "stc", tmp_path / "bundle", tmp_path / "scores"
    all_of_them = "cameras from names (Frigate): front, yard\n"
    assert all_of_them in run_job("extract", videos, "--out", stc, "--preset", "features", *HERE).stdout
    assert all_of_them in run_job("train", stc, "--out", bundle, "--preset", "features").stdout
    assert list(load_bundle_settings(str(bundle)).cameras) == ["front", "yard"]
    for job, more in (("score", ()), ("backfill", ("--min-age-minutes", 0))):
        said = run_job(job, videos, "--bundle", bundle, "--out", out / job, *more, *HERE).stdout
        assert said.count("cameras from names (Frigate), such as front\n") == 1
        assert "has not learnt it apart" not in said


def test_a_bundle_whose_cameras_were_named_otherwise_scores_by_what_all_have_in_common(
    clips: Sequence[Path], tmp_path: Path
) -> None:
    """As those were that were trained before recorders' names were read: each day's folder was a camera."""
    before = tmp_path / "before"
    for day, clip in zip(DAYS, clips, strict=False):
        (before / day).mkdir(parents=True)
        shutil.copy(clip, before / day / "0.mp4")
    stc, bundle, out = tmp_path / "stc", tmp_path / "bundle", tmp_path / "scores"
    assert "cameras from names" not in run_job("extract", before, "--out", stc, "--preset", "features", *HERE).stdout
    run_job("train", stc, "--out", bundle, "--preset", "features")
    settings = load_bundle_settings(str(bundle))
    assert list(settings.cameras) == list(DAYS)
    videos = archive(tmp_path / "videos", "Frigate", clips[:2])
    said = run_job("score", videos, "--bundle", bundle, "--out", out, *HERE).stdout
    line = f"camera front: scored by what is usual for all cameras; bundle {settings.id} has not learnt it apart\n"
    assert said.count(line) == 1
    assert "camera yard" not in said
    scored = [video.path for video in scored_videos(scores_prefix(str(out)))]
    assert len(scored) == 4
    assert all(settings.calibration_of(path) is settings.calibration for path in scored)
