from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video
from hf2vad.video.counting import Restart
from hf2vad.video.shards import Shard, cut_shards
from hf2vad.video.timeline import Timeline

VIDEO = Video("cam/clip.mp4", "/archive/cam/clip.mp4", "file", "0123456789abcdef", 1)


def timed(count: int, keyframe_every: int = 10) -> Timeline:
    """A video file whose frames are 3 units of 10 ms apart and begin at 100."""
    pts = np.arange(count, dtype=np.int64) * 3 + 100
    return Timeline(count, 64, 48, (pts - 100) / 100, pts, pts[::keyframe_every])


def images(count: int) -> Timeline:
    return Timeline(count, 64, 48, np.arange(count) / 25, names=tuple(f"{t}.png" for t in range(count)))


def counted(count: int, every: int = 10) -> Timeline:
    """A video file of two packets a frame, which can be decoded from some of its frames."""
    restarts = tuple(Restart(t, 2 * t) for t in range(every, count, every))
    return Timeline(count, 64, 48, np.arange(count) / 25, packets=np.arange(count) * 2, restarts=restarts)


def cut(timeline: Timeline, length: int, start: int = 0, stop: int | None = None) -> list[Shard]:
    return list(cut_shards(VIDEO, timeline, length, start=start, stop=stop))


frame_counts = st.integers(1, 300)
lengths = st.integers(1, 320)
kinds = st.sampled_from([timed, images])


@settings(max_examples=200)
@given(kind=kinds, count=frame_counts, length=lengths, bounds=st.tuples(st.integers(0, 320), st.integers(0, 320)))
def test_shards_follow_each_other_from_start_to_stop_without_gap_or_overlap(
    kind: Callable[[int], Timeline], count: int, length: int, bounds: tuple[int, int]
) -> None:
    start, stop = min(bounds), max(bounds)
    shards = cut(kind(count), length, start, stop)
    assert [t for s in shards for t in range(s.start, s.stop)] == list(range(start, min(stop, count)))
    assert all(s.stop - s.start == length for s in shards[:-1])
    assert all(0 < s.stop - s.start <= length for s in shards)


@settings(max_examples=100)
@given(kind=kinds, count=frame_counts, length=lengths)
def test_a_shard_is_decoded_from_four_frames_before_to_four_after_within_the_video(
    kind: Callable[[int], Timeline], count: int, length: int
) -> None:
    for s in cut(kind(count), length):
        around = [t for t in range(s.start - 4, s.stop + 4) if 0 <= t < count]
        assert list(range(s.first, s.last)) == around


@settings(max_examples=100)
@given(kind=kinds, count=frame_counts, length=lengths, start=st.integers(0, 300))
def test_each_decoded_frame_has_its_time_and_name(
    kind: Callable[[int], Timeline], count: int, length: int, start: int
) -> None:
    timeline = kind(count)
    for s in cut(timeline, length, start):
        decoded = range(s.first, s.last)
        assert s.pts_s.tolist() == [timeline.pts_s[t] for t in decoded]
        if timeline.pts is None:
            assert s.pts is None
            assert s.names == tuple(f"{t}.png" for t in decoded)
        else:
            assert s.pts is not None
            assert s.pts.tolist() == [100 + 3 * t for t in decoded]
            assert s.names == ()


@settings(max_examples=100)
@given(count=frame_counts, length=lengths, every=st.integers(1, 60))
def test_decoding_starts_from_the_last_keyframe_before_the_shard_or_the_one_before_that(
    count: int, length: int, every: int
) -> None:
    for s in cut(timed(count, every), length):
        last = s.first // every * every
        expected = [t for t in (last, last - every) if t >= 0]
        assert list(s.seek_pts) == [100 + 3 * t for t in expected]


@settings(max_examples=100)
@given(count=frame_counts, length=lengths, every=st.integers(1, 60))
def test_a_counted_video_is_decoded_from_the_last_place_that_gives_the_shards_first_frame(
    count: int, length: int, every: int
) -> None:
    timeline = counted(count, every)
    for s in cut(timeline, length):
        assert s.packets is not None
        assert s.packets.tolist() == [2 * t for t in range(s.first, s.last)]
        assert s.restart.frame == s.first // every * every
        assert (s.pts, s.names, s.seek_pts) == (None, (), ())


@settings(max_examples=60)
@given(count=frame_counts, length=lengths)
def test_an_interlaced_video_is_decoded_one_frame_further_on_each_side(count: int, length: int) -> None:
    for s in cut(replace(timed(count), interlaced=True), length):
        assert s.around == (max(0, s.first - 1), min(count, s.last + 1))
        assert s.pts is not None
        assert len(s.pts) == s.around[1] - s.around[0]
        assert len(s.pts_s) == s.last - s.first


def test_a_shard_says_which_video_it_is_of_and_how_large_that_is() -> None:
    for s in cut(timed(50), 20):
        assert (s.video, s.frame_count, s.width, s.height) == (VIDEO, 50, 64, 48)


@pytest.mark.parametrize(("start", "stop"), [(50, None), (70, 90), (20, 20), (0, 0)])
@pytest.mark.parametrize("kind", [timed, images, counted])
def test_a_range_without_frames_has_no_shard(kind: Callable[[int], Timeline], start: int, stop: int | None) -> None:
    assert cut(kind(50), 10, start, stop) == []


def test_without_bounds_the_whole_video_is_cut() -> None:
    assert [(s.start, s.stop) for s in cut(timed(25), 10)] == [(0, 10), (10, 20), (20, 25)]


def test_a_shard_holds_only_its_own_times_so_that_sending_one_does_not_send_the_timeline() -> None:
    shard = cut(timed(100_000), 10)[500]
    assert shard.pts is not None
    assert shard.pts.base is None
    assert shard.pts_s.base is None
    assert len(shard.pts) == len(shard.pts_s) == 18


def test_shards_are_cut_one_at_a_time() -> None:
    shards = cut_shards(VIDEO, timed(10**6), 1)
    assert [next(shards).start for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("promised", "expected"), [(0, None), (39, None), (40, None), (41, "promises 41 frames, 40 are")]
)
def test_a_video_is_truncated_when_its_header_promises_more_frames(promised: int, expected: str | None) -> None:
    found = Timeline(40, 64, 48, np.arange(40) / 25, promised=promised).truncated
    assert (found is None) == (expected is None)
    assert expected is None or expected in str(found)
