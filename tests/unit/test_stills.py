"""Which files of a folder are videos and frames, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hf2vad.archive.catalog import catalogue
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.stills import counted_places, frame_names
from hf2vad.video.timeline import probe


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked at")


def listed(root: Path) -> tuple[list[str], dict[str, int]]:
    """Ids of the videos, and how many files were passed over for which reason."""
    passed = PassedOver()
    ids = [video.id for video in catalogue(str(root), passed=passed)]
    reasons: dict[str, int] = {}
    for row in passed.rows():
        reasons[row["why"]] = reasons.get(row["why"], 0) + row["count"]
    return ids, reasons


def test_a_picture_beside_a_video_of_its_name_is_no_frame(tmp_path: Path) -> None:
    put(tmp_path, *(f"gate_{t:02d}.{suffix}" for t in range(7) for suffix in ("jpg", "mp4")), "gate_00.mp4.png")
    assert listed(tmp_path) == ([f"gate_{t:02d}.mp4" for t in range(7)], {"still of a video": 8})


def test_thumbnails_and_folders_of_a_nas_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "one.mp4", *(f"{t}-thumb.jpg" for t in range(6)), "@eaDir/one.mp4/SCREENSHOT.jpg", "lost+found/x.mp4")
    put(tmp_path, *(f"thumbs/{t}.jpg" for t in range(9)))
    ids, reasons = listed(tmp_path)
    assert ids == ["one.mp4"]
    assert reasons == {"thumbnail": 6, "folder of a storage system": 3}


def test_of_an_event_of_zoneminder_the_captured_pictures_are_the_frames(tmp_path: Path) -> None:
    put(tmp_path, *(f"1001/{t:05d}-{kind}.jpg" for t in range(1, 13) for kind in ("capture", "analyse")))
    put(tmp_path, "1001/alarm.jpg", "1001/snapshot.jpg", "1002/1002-video.mp4", "1002/alarm.jpg", "1002/snapshot.jpg")
    assert listed(tmp_path) == (["1001", "1002/1002-video.mp4"], {"still of a recorder": 16})
    names = sorted(path.name for path in (tmp_path / "1001").iterdir())
    assert frame_names(names) == [f"{t:05d}-capture.jpg" for t in range(1, 13)]


def test_fewer_than_five_images_are_no_video(tmp_path: Path) -> None:
    put(tmp_path, *(f"four/{t}.jpg" for t in range(4)), *(f"five/{t}.jpg" for t in range(5)))
    assert listed(tmp_path) == (["five"], {"fewer than 5 images in a folder": 4})


@pytest.mark.parametrize("suffixes", [("jpg", "png"), ("bmp", "jpg"), ("jpeg", "tif")])
def test_the_same_number_in_two_formats_is_one_frame_in_the_one_that_loses_nothing(
    tmp_path: Path, suffixes: tuple[str, str]
) -> None:
    put(tmp_path, *(f"walk/{t:04d}.{suffix}" for t in range(12) for suffix in suffixes))
    assert listed(tmp_path) == (["walk"], {"same picture in another format": 12})
    lossless = next(suffix for suffix in suffixes if not suffix.startswith("jp"))
    names = sorted(path.name for path in (tmp_path / "walk").iterdir())
    assert frame_names(names) == [f"{t:04d}.{lossless}" for t in range(12)]


def test_playlists_and_fragments_are_named_as_not_read(tmp_path: Path) -> None:
    put(tmp_path, "live/init.mp4", *(f"live/{t}.m4s" for t in range(3)), "live/index.m3u8", "live/init-door.mp4")
    put(tmp_path, "other/init.mp4")
    passed = PassedOver()
    assert [video.id for video in catalogue(str(tmp_path), passed=passed)] == ["other/init.mp4"]
    lines = list(passed.lines())
    assert sum("live/init.mp4" in line and "ffmpeg -i PLAYLIST" in line for line in lines) == 1
    assert any(line.startswith("passed over: 1 .m3u8 (playlist;") for line in lines)


def test_what_is_passed_over_is_counted_by_ending_and_named_by_examples(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", *(f"notes/{t}.txt" for t in range(5)), "README", ".hidden.mp4")
    passed = PassedOver()
    list(catalogue(str(tmp_path), passed=passed))
    assert passed.total == 7
    assert passed.rows()[0] == {
        "ending": ".txt",
        "why": "not a video",
        "count": 5,
        "names": ["notes/0.txt", "notes/1.txt", "notes/2.txt"],
    }
    assert "passed over: 1 no ending (not a video): README" in list(passed.lines())
    assert "passed over: 1 .mp4 (hidden): .hidden.mp4" in list(passed.lines())


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5]),
        ([1, 2, 3, 7, 8, 9], [0, 1, 2, 6, 7, 8]),
        ([0, 5, 10, 15, 20, 30], [0, 1, 2, 3, 4, 6]),
        ([1, 17, 40, 300, 301, 999], [0, 1, 2, 3, 4, 5]),
    ],
    ids=["all there", "some missing", "every fifth", "no count"],
)
def test_missing_numbers_are_a_gap_where_names_count(numbers: list[int], places: list[int]) -> None:
    assert counted_places([f"cam2_{number:04d}.png" for number in numbers]).tolist() == places


def test_names_with_dates_do_not_count() -> None:
    names = [f"2026-11-{day}_{second:02d}.jpg" for day in (24, 25) for second in (1, 2, 9)]
    assert counted_places(names).tolist() == list(range(6))


def test_a_missing_number_is_a_gap_in_time_and_in_health(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4, 6, 7, 8, 12, 13):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), np.zeros((8, 12, 3), np.uint8))
    (video,) = catalogue(str(tmp_path))
    timeline = probe(video, image_fps=10)
    assert timeline.pts_s == pytest.approx([0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 1.1, 1.2])
    assert [(repair.kind, repair.start) for repair in timeline.repairs] == [("gap", 4), ("gap", 7)]
    assert [repair.value for repair in timeline.repairs] == pytest.approx([0.1, 0.3])
