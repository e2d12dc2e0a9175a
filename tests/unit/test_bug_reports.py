"""Recordings as public bug reports of other software describe them, built here: what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hf2vad.video.timeline import Timeline, probe
from tests.clips import Clip, only, pictures, write_clip
from tests.streams import Stream, moved, write_stream
from tests.unit.test_pictures import write as write_turned
from tests.unit.test_streams import assert_as_decoded, images_of

GRID = [t / 25 for t in range(40)]
TICK = 0.001


def forced_on(first: int) -> Callable[[list[int]], list[int]]:
    """From this packet on each time is one tick after the one before."""
    return lambda times: [time if i < first else times[first - 1] + i - first + 1 for i, time in enumerate(times)]


def zero_from(first: int, last: int) -> Callable[[list[int]], list[int]]:
    return lambda times: [times[0] if first <= i < last else time for i, time in enumerate(times)]


REPORTS: dict[str, tuple[str, Stream, list[float] | None, set[str]]] = {
    "frigate 6499: the camera's clock went back, the muxer goes on by one tick a frame": (
        ".mkv",
        Stream(times=forced_on(20)),
        GRID[:20] + [GRID[19] + TICK * t for t in range(1, 21)],
        set(),
    ),
    "frigate 707: a frame some ticks before the one before it": (
        ".ts",
        Stream(times=moved(-0.041, [9])),
        GRID,
        {"time_back"},
    ),
    "motion 431: after a gap in motion, times are forced on by one unit": (
        ".ts",
        Stream(b_frames=2, times=forced_on(10)),
        None,
        set(),
    ),
    "omxmotion 3: all times are zero": (
        ".mkv",
        Stream(times=lambda times: [times[0]] * len(times)),
        GRID,
        {"time_doubled"},
    ),
    "pyav 493: bursts of frames whose time is the first one's": (
        ".mkv",
        Stream(times=zero_from(15, 18)),
        GRID,
        {"time_back"},
    ),
    "zoneminder 2028: signal lost for an hour, then between keyframes": (
        ".mkv",
        Stream(times=moved(3600, range(23, 40))),
        [time + 3600 * (t >= 23) for t, time in enumerate(GRID)],
        set(),
    ),
    "motion 755: a movie that does not begin with a keyframe": (".mp4", Stream(first=7), GRID[:30], set()),
    "zoneminder 1370: an event that begins between keyframes": (".ts", Stream(first=7, b_frames=2), None, set()),
}


@pytest.mark.parametrize("report", REPORTS)
def test_every_picture_has_its_row_at_a_time_that_can_be(report: str, tmp_path: Path) -> None:
    suffix, stream, seconds, kinds = REPORTS[report]
    write_stream(tmp_path / f"clip{suffix}", stream)
    timeline = assert_as_decoded(tmp_path / f"clip{suffix}", [1000, 7])
    assert {repair.kind for repair in timeline.repairs} >= kinds
    if seconds is not None:
        assert timeline.pts_s == pytest.approx(seconds, abs=0.0015)


def test_torchcodec_1339_and_179_hevc_with_short_groups_is_the_same_from_anywhere(tmp_path: Path) -> None:
    options = {"x265-params": "keyint=3:log-level=none:pools=none:frame-threads=1"}
    write_clip(tmp_path / "clip.mp4", Clip("libx265", options))
    assert_as_decoded(tmp_path / "clip.mp4", [1000, 1, 7])


def test_video_reader_78_a_window_that_moves_by_one_frame_moves_by_one_frame(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(options={"g": "10", "bf": "3", "threads": "1"}))
    whole = images_of(tmp_path / "clip.mp4", 1000)
    assert all(
        np.array_equal(one, other) for one, other in zip(images_of(tmp_path / "clip.mp4", 1), whole, strict=True)
    )


def test_torchcodec_1084_and_pyav_570_a_phones_video_is_upright(tmp_path: Path) -> None:
    write_turned(tmp_path / "clip.mov", list(pictures(10, 64, 48)), turn=-90)
    timeline: Timeline = probe(only(tmp_path / "clip.mov"))
    assert (timeline.width, timeline.height) == (48, 64)
