from __future__ import annotations

import pytest

from hf2vad.archive.camera import camera_of
from hf2vad.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "video", "camera"),
    [
        ("", "gate/a.mp4", ""),
        ("{camera}", "gate/2026/a.mp4", "gate"),
        ("{camera}/", "gate/2026/a.mp4", "gate"),
        ("{camera}/{date}/*", "gate/2026/a.mp4", "gate"),
        ("{date}/{camera}/*.mp4", "2026/gate 1/a.mp4", "gate 1"),
        ("site-7/cam_{camera}_*", "site-7/cam_03_day.mkv", "03"),
        ("{camera}/{date}/*", "gate/a.mp4", ""),
        ("cam.{camera}", "camx1", ""),
        ("{camera}", "été/a", "été"),
    ],
)
def test_a_camera_is_the_part_of_the_path_that_the_pattern_names(pattern: str, video: str, camera: str) -> None:
    assert camera_of(video, pattern) == camera


@pytest.mark.parametrize("pattern", ["{date}/*", "*", "{camera}/{camera}", "{camera}/{date}/{date}"])
def test_a_pattern_that_names_no_camera_once_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="a camera pattern looks like"):
        camera_of("a/b", pattern)
