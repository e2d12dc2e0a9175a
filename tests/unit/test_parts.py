"""What of an archive is learned from and what is scored, where nobody says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video
from hf2vad.archive.parts import ENOUGH, Parts


def video(name: str) -> Video:
    return Video(name, f"/a/{name}", "file", "0" * 16, 1)


def test_of_a_camera_with_few_videos_each_is_halved_and_of_others_the_older_are_learned_from() -> None:
    videos = [video(f"gate/{day}.mp4") for day in (5, 1, 4, 2, 3)] + [video("yard/1.mp4"), video("porch.mp4")]
    parts = Parts.of(videos, 0.5)
    assert parts.older == {"gate/1.mp4", "gate/2.mp4"}
    assert parts.halved == {"yard/1.mp4", "porch.mp4"}
    assert [one.id for one in parts.scored_whole(videos)] == ["gate/5.mp4", "gate/4.mp4", "gate/3.mp4"]


def test_videos_that_lie_in_no_folder_are_cameras_of_their_own() -> None:
    assert Parts.of([video(f"{number}.mp4") for number in range(9)], 0.5).older == frozenset()


def test_what_comes_later_is_scored_whole() -> None:
    parts = Parts.from_json(Parts.of([video("a.mp4")], 0.5).to_json())
    new = [video("a.mp4"), video("b.mp4")]
    assert [one.id for one in parts.scored_whole(new)] == ["b.mp4"]
    assert [one.id for one in parts.shared(new)] == ["a.mp4"]
    assert parts.learned_whole(new) == []


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 30)), unique=True), st.floats(0.01, 0.99))
def test_every_video_has_one_place_and_every_camera_both_learns_and_scores(
    named: list[tuple[str, int]], share: float
) -> None:
    videos = [video(f"{camera}/{number:02d}.mp4") for camera, number in named]
    parts = Parts.of(videos, share)
    placed = parts.learned_whole(videos) + parts.shared(videos) + parts.scored_whole(videos)
    assert sorted(one.id for one in placed) == sorted(one.id for one in videos)
    for camera in {camera for camera, _ in named}:
        own = [one for one in videos if one.id.startswith(camera)]
        if len(own) >= ENOUGH:
            assert parts.learned_whole(own)
            assert parts.scored_whole(own)
            assert max(one.id for one in parts.learned_whole(own)) < min(one.id for one in parts.scored_whole(own))
        else:
            assert parts.shared(own) == own
