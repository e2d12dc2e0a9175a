"""Camera and time in the paths of usual recorders."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import RecorderCameras, camera_of, place_of
from hf2vad.archive.recorders import RECORDERS, UNNAMED, recorder_path

DAY = date(2026, 11, 24)
START = datetime(2026, 11, 24, 22, 15, 30)

PATHS = [
    ("2026-11-24/22/front_door/15.30.mp4", "Frigate", "front_door", START),
    ("recordings/2026-11-24/22/yard/15.30.mp4", "Frigate", "yard", START),
    ("2026-11/24/22/yard/15.30.mp4", "Frigate to 0.11", "yard", START),
    ("3/26/11/24/22/15/30/81-video.mp4", "ZoneMinder, deep", "3", START),
    ("events/3/2026-11-24/81/81-video.h264.mp4", "ZoneMinder", "3", None),
    ("gate/AMC0028V/2026-11-24/001/dav/22/22.15.30-22.20.00[M][0@0][0].dav", "Dahua", "gate", START),
    ("NVR_ch1_main_20261124221530_20261124231530.dav", "Dahua", "NVR_ch1", START),
    ("yard/Mp4Record/2026-11-24/RecM01_20261124_221530_221610_6D28808_1A468F9.mp4", "Reolink", "yard", START),
    ("yard/RecS02_DST20261124_221530_221610_0_1F.mp4", "Reolink", "yard", START),
    ("192.168.0.64_01_20261124221530939_MOTION_DETECTION.mp4", "Hikvision", "192.168.0.64_01", START),
    ("Driveway_00_20261124221530.mp4", "Hikvision", "Driveway_00", START),
    ("FrontDoor.20261124_221530.mp4", "Blue Iris", "FrontDoor", START),
    ("FrontDoor/FrontDoor.20261124_221530.15.mp4", "Blue Iris", "FrontDoor", START),
    ("porch/07-20261124221530.mkv", "motion", "porch", START),
    ("Camera1/2026-11-24/22-15-30.mp4", "a folder a day", "Camera1", START),
    ("Camera1/2026-11-24/221530.mp4", "a folder a day", "Camera1", START),
    ("gate_2026-11-24_22-15-30.mp4", "time in the name", "gate", START),
]  # fmt: skip


@pytest.mark.parametrize(("path", "recorder", "camera", "start"), PATHS, ids=[path[0] for path in PATHS])
def test_a_recorders_path_says_camera_and_time(path: str, recorder: str, camera: str, start: datetime | None) -> None:
    found = recorder_path(path)
    assert found is not None
    assert (found.recorder, found.camera, found.day, found.start) == (recorder, camera, DAY, start)


def test_every_recorder_of_the_table_has_a_path_that_is_tested() -> None:
    assert {recorder.name for recorder in RECORDERS} == {path[1] for path in PATHS}
    assert all(recorder.source for recorder in RECORDERS)


@pytest.mark.parametrize(
    "path",
    [
        "vtest.avi",
        "01_runner.mp4",
        "cam/holiday 2026.mp4",
        "a/2026-13-40/22-15-30.mp4",
        "x_20261399999999.mp4",
        "3/4.mp4",
    ],
)
def test_other_paths_say_nothing(path: str) -> None:
    assert recorder_path(path) is None


def test_a_pattern_is_believed_before_any_recorder() -> None:
    path = "2026-11-24/22/front_door/15.30.mp4"
    assert place_of(path, PathPattern(), "north").camera == "north/front_door"
    assert place_of(path, PathPattern("{date}/{hour}/*/*")).camera == "2026-11-24"


def test_an_hour_that_does_not_exist_leaves_the_day() -> None:
    found = recorder_path("cam/2026-11-24/25-15-30.mp4")
    assert found is not None
    assert (found.day, found.start) == (DAY, None)


@pytest.mark.parametrize(
    ("path", "camera"),
    [
        ("front/video_2026-11-24_22-15-30.mp4", "front-video"),
        ("back/video_2026-11-24_22-15-30.mp4", "back-video"),
        ("house/NVR_ch1_main_20261124221530_20261124231530.dav", "house-NVR_ch1"),
        ("frontdoor/FrontDoor.20261124_221530.mp4", "FrontDoor"),
        ("2026-11-24/Driveway_00_20261124221530.mp4", "Driveway_00"),
        ("2026/11/24/yard/RecM01_20261124_221530_221610_6D28808_1A468F9.mp4", "yard"),
        ("2026-11-24/RecM01_20261124_221530_221610_6D28808_1A468F9.mp4", UNNAMED),
        ("RecM01_20261124_221530_221610_6D28808_1A468F9.mp4", UNNAMED),
        ("1/07-20261124221530.mkv", "1"),
    ],
)
def test_folders_keep_cameras_apart_and_dates_name_none(path: str, camera: str) -> None:
    assert camera_of(path) == camera
    assert place_of(path, PathPattern(), "north").camera == f"north/{camera}"


@pytest.mark.parametrize(
    ("path", "camera"), [("gate/2026/a.mp4", "gate"), ("2026-11-24/a.mp4", "2026-11-24"), ("clip.mp4", "clip.mp4")]
)
def test_where_no_recorders_form_fits_the_first_folder_or_the_file_is_the_camera(path: str, camera: str) -> None:
    assert camera_of(path) == camera


def test_a_pattern_decides_the_camera_alone() -> None:
    path = "2026-11-24/22/front_door/15.30.mp4"
    assert camera_of(path, PathPattern("*/{hour}/{camera}/*")) == "front_door"
    assert camera_of(path, PathPattern("{date}/*")) == ""
    assert camera_of(path, PathPattern("{camera}/x/*")) == ""


def test_the_line_names_five_cameras_of_a_recorder() -> None:
    recorders = RecorderCameras()
    assert recorders.note("clip.mp4") == ""
    assert list(recorders.lines()) == []
    for number in (3, 1, 2, 2, 4, 5, 6, 7):
        recorders.note(f"2026-11-24/22/cam{number}/15.30.mp4")
    assert list(recorders.lines()) == ["cameras from names (Frigate): cam3, cam1, cam2, cam4, cam5 and 2 more"]
