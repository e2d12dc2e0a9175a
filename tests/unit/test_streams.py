"""Rows are the pictures that a decoder gives, in its order, whatever the times in the file say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.schema import U8
from hf2vad.video import counting
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import Timeline, probe
from tests.clips import only, pictures
from tests.streams import (
    BASE,
    Stream,
    decoded,
    doubled,
    in_decoding_order,
    moved,
    one_after_the_other,
    write_fields,
    write_stream,
)

Times = Callable[[list[int]], list[int]]
FRAMES = 44


def images_of(path: Path, length: int) -> list[U8 | None]:
    """What shards of `length` give, without their halos."""
    video = only(path)
    shards = cut_shards(video, probe(video), length)
    return [frame.image for shard in shards for frame in decode(shard) if shard.start <= frame.index < shard.stop]


def assert_as_decoded(path: Path, lengths: list[int]) -> Timeline:
    timeline = probe(only(path))
    expected = [np.asarray(frame.to_ndarray(format="bgr24")) for frame in decoded(path) if not frame.is_corrupt]
    assert timeline.frame_count == len(expected)
    assert (np.diff(timeline.pts_s) > 0).all()
    for length in lengths:
        images = images_of(path, length)
        assert len(images) == len(expected)
        for number, (image, frame) in enumerate(zip(images, expected, strict=True)):
            assert image is not None, number
            assert np.array_equal(image, frame), number
    return timeline


@pytest.fixture(autouse=True)
def _restarts_close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short videos have some."""
    monkeypatch.setattr(counting, "APART", 8)


frames_of_it = st.integers(0, FRAMES - 1)
changes = st.one_of(
    st.sets(frames_of_it, max_size=3).map(lambda frames: doubled(*frames)),
    st.builds(
        lambda seconds, first: moved(seconds, range(first, FRAMES)),
        st.sampled_from([-30.0, 60.0, 8 * 3600.0, 100 * 3600.0]),
        frames_of_it,
    ),
    st.builds(
        lambda seconds, frame: moved(seconds, [frame]), st.sampled_from([-30.0, -0.05, 5 * 3600.0]), frames_of_it
    ),
    st.just(in_decoding_order),
)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    suffix=st.sampled_from([".mkv", ".ts"]),
    stream=st.builds(
        Stream,
        frames=st.just(FRAMES),
        b_frames=st.sampled_from([0, 2, 3]),
        keyframes=st.sampled_from([6, 11, 100]),
        open_gop=st.booleans(),
        gradual=st.booleans(),
        first=st.sampled_from([0, 0, 3]),
        times=st.lists(changes, max_size=2).map(lambda some: one_after_the_other(*some)),
    ),
    length=st.integers(1, FRAMES),
)
def test_rows_are_the_pictures_that_ffmpeg_decodes_from_the_start_whatever_the_shard(
    suffix: str, stream: Stream, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("stream") / f"clip{suffix}"
    write_stream(path, stream)
    if decoded(path):
        assert_as_decoded(path, [1000, length])


@settings(max_examples=10)
@given(frames=st.integers(1, 30), length=st.integers(1, 30))
def test_two_packets_of_a_field_each_are_one_row(
    frames: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fields") / "clip.ts"
    write_fields(path, frames)
    timeline = probe(only(path))
    assert timeline.pts_s == pytest.approx([t / 25 for t in range(frames)], abs=1e-4)
    assert timeline.interlaced
    whole = images_of(path, 1000)
    assert len(whole) == frames
    assert all(np.array_equal(one, other) for one, other in zip(images_of(path, length), whole, strict=True))


CASES: dict[str, tuple[Stream, list[float], list[tuple[str, int]]]] = {
    "decoding order.mkv": (
        Stream(b_frames=2, times=in_decoding_order),
        [t / 25 for t in range(40)],
        [("time_order", 1)],
    ),
    "one double.mkv": (Stream(times=doubled(7)), [t / 25 for t in range(40)], [("time_doubled", 7)]),
    "pause.mkv": (Stream(times=moved(60, range(20, 40))), [t / 25 + 60 * (t >= 20) for t in range(40)], []),
    "clock set back.ts": (
        Stream(times=moved(-30, range(20, 40))),
        [t / 25 for t in range(40)],
        [("time_back", 20)],
    ),
    "one time back.ts": (Stream(b_frames=2, times=moved(-30, [9])), [t / 25 for t in range(40)], [("time_back", 8)]),
    "one time ahead.mkv": (
        Stream(b_frames=2, times=moved(3600, [9])),
        [t / 25 for t in range(40)],
        [("time_jump", 8)],
    ),
    "clock set ahead.mkv": (
        Stream(times=moved(100 * 3600, range(20, 40))),
        [t / 25 for t in range(40)],
        [("time_jump", 20)],
    ),
    "lost beginning.mkv": (Stream(first=4), [t / 25 for t in range(30)], []),
}


@pytest.mark.parametrize("name", CASES)
def test_a_time_is_repaired_where_it_cannot_be_and_nowhere_else(name: str, tmp_path: Path) -> None:
    stream, seconds, repairs = CASES[name]
    write_stream(tmp_path / name, stream)
    timeline = assert_as_decoded(tmp_path / name, [1000, 7])
    assert timeline.pts_s == pytest.approx(seconds, abs=0.0011)
    assert [(repair.kind, repair.start) for repair in timeline.repairs] == repairs
    assert timeline.truncated is None


def test_a_counted_video_is_decoded_from_places_inside_it(tmp_path: Path) -> None:
    write_stream(tmp_path / "clip.mkv", Stream(b_frames=2, times=in_decoding_order))
    timeline = probe(only(tmp_path / "clip.mkv"))
    assert timeline.counted
    assert [restart.frame for restart in timeline.restarts] == [10, 20, 30]
    shard = next(cut_shards(only(tmp_path / "clip.mkv"), timeline, 5, start=27, stop=30))
    assert shard.restart.frame == 20


def test_an_elementary_stream_is_counted_at_its_own_rate_and_sought_by_bytes(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.h264"), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "2", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in [*pictures(40, 64, 48), None]:
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame))
    timeline = assert_as_decoded(tmp_path / "clip.h264", [1000, 7])
    assert timeline.pts_s == pytest.approx([t / 10 for t in range(40)])
    assert timeline.repairs == ()
    assert {restart.reach for restart in timeline.restarts} == {"byte"}


def test_pictures_that_an_edit_list_hides_are_no_rows_and_the_file_is_not_truncated(tmp_path: Path) -> None:
    write_stream(tmp_path / "whole.mkv", Stream(b_frames=2))
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "clip.mp4"), "w") as container:
        video = source.streams.video[0]
        out = container.add_stream_from_template(video)
        for number, packet in enumerate(packet for packet in source.demux(video) if packet.size):
            packet.pts, packet.dts = packet.pts - BASE - 200, 40 * (number - 3) - 200
            packet.stream = out
            container.mux(packet)
    timeline = assert_as_decoded(tmp_path / "clip.mp4", [1000, 7])
    assert timeline.frame_count == 35
    assert timeline.truncated is None
