"""Where the stretches of a sample lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from hf2vad.archive.catalog import Video
from hf2vad.archive.sample import FootageSize, Pick, camera_in, footage_of, picked, places
from hf2vad.runs.sampling import Density, stretch_frames


def month(camera: str = "gate") -> Iterator[Video]:
    """An hour a file; nights are half as large."""
    for day in range(1, 31):
        for hour in range(24):
            path = f"{camera}/2026-11-{day:02}/{hour:02}.mp4"
            yield Video(path, f"/a/{path}", "file", "f", (1 if hour < 6 else 2) * 10**8)


def taken(count: int | None) -> list[tuple[str, Pick]]:
    camera_of = camera_in("")
    footage = footage_of(month(), camera_of)
    return [(video.id, pick) for video, pick in picked(month(), camera_of, footage, {"gate": count})]


def test_a_sample_meets_all_days_and_hours_and_opens_no_other_video() -> None:
    found = taken(300)
    stretches = [(video, share) for video, pick in found for _, share in pick.shares or ()]
    assert len(stretches) == 300
    days = Counter(video.split("/")[1] for video, _ in stretches)
    assert len(days) == 30
    assert set(days.values()) <= {9, 10, 11}
    hours = Counter(video.split("/")[2] for video, _ in stretches)
    assert len(hours) == 24
    assert sum(hours[f"{hour:02}.mp4"] for hour in range(6)) == pytest.approx(300 / 7, abs=4), "as bytes have it"
    assert all(0 <= share < 1 for _, share in stretches)
    assert len(found) <= 300


def test_a_larger_sample_holds_a_smaller_one() -> None:
    def numbered(count: int) -> set[tuple[str, int, float]]:
        return {(video, i, round(share, 9)) for video, pick in taken(count) for i, share in pick.shares or ()}

    assert numbered(100) < numbered(250)
    assert places(5) == places(9)[:5]


def test_all_footage_of_a_camera_is_every_video_whole_and_of_others_none() -> None:
    assert [pick.shares for _, pick in taken(None)] == [None] * 720
    footage = {"gate": FootageSize(720, 1)}
    assert list(picked(month(), camera_in(""), footage, {"yard": 5})) == []


def test_stretches_are_cut_from_the_first_frame_that_may_be_taken_and_none_is_taken_twice() -> None:
    pick = Pick(((3, 0.0), (1, 0.999), (2, 0.5), (7, 0.501)))
    assert pick.segments((50, 480), 100) == {(50, 150): 3, (250, 350): 2, (450, 480): 1}
    assert pick.segments((50, 50), 100) == {}


@pytest.mark.parametrize(
    ("pattern", "path", "camera"),
    [
        ("", "gate/a/b.mp4", "gate"),
        ("", "a.mp4", "a.mp4"),
        ("site/{camera}/*", "site/gate/b.mp4", "gate"),
        ("{date}/*", "2026-11-01/b.mp4", ""),
    ],
)
def test_the_camera_of_a_sample_is_the_patterns_or_tells_by_its_place(pattern: str, path: str, camera: str) -> None:
    assert camera_in(pattern)(Video(path, "u", "file", "f", 1)) == camera


def test_how_much_there_is_follows_from_what_was_looked_at() -> None:
    found = Density(stretches=8, cubes=160, frames=3000, size=1000)
    assert found.each == 20
    assert found.all_of(FootageSize(2, 5000), 100) == 150
    assert [stretch_frames(most) for most in (20_000, 4_000, 500)] == [100, 20, 10]
