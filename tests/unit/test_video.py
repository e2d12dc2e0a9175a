from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video
from hf2vad.schema import U8
from hf2vad.video.decode import Frame, decode
from hf2vad.video.shards import cut_shards, worked_frames
from hf2vad.video.timeline import Timeline, probe
from tests.clips import B_FRAMES, FRAMES, Clip, only, pictures, played, write_clip

# Irregular on purpose: bursts, a pause of two seconds, a start that is not zero.
IRREGULAR = [500 + t for t in np.cumsum([0, *([7, 40, 33, 120, 5, 60] * 7)[: FRAMES - 2], 2000]).tolist()]
OPEN_GOP = {**B_FRAMES, "x264-params": "open-gop=1"}
X265 = "keyint=10:bframes=3:log-level=none:pools=none:frame-threads=1"
VP9 = {"g": "10", "deadline": "realtime", "cpu-used": "8"}

CLIPS = {
    "h264.mp4": Clip(),
    "h264.mkv": Clip(),
    "h264.mov": Clip(),
    "h264.ts": Clip(),
    "h264.avi": Clip(options={"g": "10", "bf": "0", "threads": "1"}),
    "h264_reordered.avi": Clip(),
    "h264_open_gop.mp4": Clip(options=OPEN_GOP),
    "h264_open_gop.mkv": Clip(options=OPEN_GOP),
    "h264_open_gop.ts": Clip(options=OPEN_GOP),
    "h264_gradual_refresh.mp4": Clip(options={"threads": "1", "x264-params": "intra-refresh=1:keyint=10"}),
    "h264_one_keyframe.mp4": Clip(options={"bf": "3", "g": "1000", "threads": "1"}),
    "h264_fragmented.mp4": Clip(muxer={"movflags": "frag_keyframe+empty_moov"}),
    "h264_odd.mp4": Clip(pix_fmt="yuv444p", width=65, height=49),
    "hevc.mp4": Clip("libx265", {"x265-params": f"{X265}:open-gop=0"}),
    "hevc_open_gop.mkv": Clip("libx265", {"x265-params": f"{X265}:open-gop=1"}),
    "hevc_open_gop.ts": Clip("libx265", {"x265-params": f"{X265}:open-gop=1"}),
    "mpeg4.avi": Clip("mpeg4", {"g": "10"}),
    "mpeg4_reordered.avi": Clip("mpeg4", {"g": "10", "bf": "2"}),
    "mpeg4.mp4": Clip("mpeg4", {"g": "10", "bf": "2"}),
    "mpeg2.ts": Clip("mpeg2video", {"g": "10", "bf": "2"}),
    "mjpeg_odd.avi": Clip("mjpeg", {}, "yuvj420p", 65, 49),
    "vp9.webm": Clip("libvpx-vp9", VP9),
    "vp9_hidden_frames.webm": Clip("libvpx-vp9", {"g": "10", "cpu-used": "5", "lag-in-frames": "8"}),
    "av1.mp4": Clip("libsvtav1", {"preset": "12", "g": "10"}, height=64),
    "irregular.mp4": Clip(times=IRREGULAR),
    "irregular.mkv": Clip(times=IRREGULAR),
    "irregular.ts": Clip(times=IRREGULAR),
    "irregular.webm": Clip("libvpx-vp9", VP9, times=IRREGULAR),
}
COUNTED = [
    "h264_reordered.avi",
    "h264_gradual_refresh.mp4",
    *(f"irregular.{suffix}" for suffix in ("mp4", "mkv", "ts")),
]
"""Whose packets do not prove the order of pictures, or where they are whole."""
CUTS = [(0, 1), (0, 7), (3, 10), (13, 20), (19, 2), (0, FRAMES), (FRAMES - 1, 5)]

Written = Callable[[str], tuple[Video, Timeline, list[U8]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The clip of a name: the video, what is probed of it, and its frames as a player shows them."""

    @functools.cache
    def write(name: str) -> tuple[Video, Timeline, list[U8]]:
        path = tmp_path_factory.mktemp("clips") / name
        video = write_clip(path, CLIPS[name])
        return video, probe(video), played(path)

    return write


def assert_exact(frames: list[Frame], first: int, last: int, images: list[U8]) -> None:
    assert [frame.index for frame in frames] == list(range(first, last))
    for frame in frames:
        assert frame.image is not None, frame.index
        assert np.array_equal(frame.image, images[frame.index]), frame.index


@pytest.mark.parametrize("name", CLIPS)
def test_a_video_has_as_many_frames_as_a_player_shows_each_with_its_time(name: str, written: Written) -> None:
    _, timeline, images = written(name)
    clip = CLIPS[name]
    assert timeline.frame_count == len(timeline.pts_s) == len(images) == FRAMES
    assert (timeline.width, timeline.height) == (clip.width, clip.height)
    assert (np.diff(timeline.pts_s) > 0).all()
    assert timeline.pts_s == pytest.approx(clip.seconds, abs=0.0011)
    assert timeline.truncated is None
    assert timeline.counted == (name in COUNTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_a_shard_has_the_pixels_that_a_player_shows_wherever_it_begins_and_ends(name: str, written: Written) -> None:
    video, timeline, images = written(name)
    for start, length in CUTS:
        shards = list(cut_shards(video, timeline, length, start=start))
        assert shards
        for shard in shards if length > 1 else shards[::3]:
            frames = list(decode(shard))
            assert_exact(frames, shard.first, shard.last, images)
            assert [frame.pts_s for frame in frames] == timeline.pts_s[shard.first : shard.last].tolist()


@pytest.mark.parametrize("name", ["h264.mp4", "h264_open_gop.ts", "mpeg4_reordered.avi"])
@settings(max_examples=25)
@given(start=st.integers(0, FRAMES - 1), length=st.integers(1, FRAMES))
def test_any_range_of_frames_has_the_pixels_of_the_whole(name: str, start: int, length: int, written: Written) -> None:
    video, timeline, images = written(name)
    shard = next(cut_shards(video, timeline, length, start=start, stop=start + length))
    assert_exact(list(decode(shard)), shard.first, shard.last, images)


@pytest.mark.parametrize("name", ["h264.mp4", "h264_reordered.avi", "mpeg2.ts"])
def test_pictures_do_not_wait_for_the_garbage_collector(name: str, written: Written) -> None:
    def in_memory() -> int:
        return sum(type(each) is av.VideoFrame for each in gc.get_objects())

    video, timeline, _ = written(name)
    gc.collect()
    gc.disable()
    before = in_memory()
    try:
        assert probe(video).frame_count == FRAMES
        (shard,) = cut_shards(video, timeline, FRAMES)
        assert sum(frame.image is not None for frame in decode(shard)) == FRAMES
        assert in_memory() == before
    finally:
        gc.enable()


def test_frames_show_what_was_filmed(written: Written) -> None:
    video, timeline, _ = written("h264.mp4")
    (shard,) = cut_shards(video, timeline, 100, start=20, stop=30)
    filmed = list(pictures(FRAMES, 64, 48))
    for frame in decode(shard):
        assert frame.image is not None
        assert frame.image.dtype == np.uint8
        assert np.median(frame.image[1:6]) == pytest.approx(filmed[frame.index][0, 0, 0], abs=4)


def test_colours_are_blue_first(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "blue.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), (250, 20, 90), np.uint8), "bgr24")))
        container.mux(stream.encode(None))
    video = only(tmp_path)
    (shard,) = cut_shards(video, probe(video), 5)
    (frame,) = decode(shard)
    assert frame.image is not None
    assert frame.image.mean(axis=(0, 1)) == pytest.approx([250, 20, 90], abs=6)


def test_shards_of_a_video_start_at_keyframes_near_them(written: Written) -> None:
    video, timeline, _ = written("h264.mp4")
    assert timeline.keyframes is not None
    assert timeline.pts is not None
    assert timeline.pts[:: FRAMES // 4].tolist() == timeline.keyframes.tolist()
    (shard,) = cut_shards(video, timeline, 10, start=27, stop=30)  # with its halo from frame 23
    assert shard.seek_pts == (timeline.keyframes[2], timeline.keyframes[1])


def test_a_video_in_decoding_order_is_cut_like_any_other(written: Written) -> None:
    video, timeline, images = written("h264_reordered.avi")
    shards = list(cut_shards(video, timeline, 5, start=20, stop=33))
    assert [(shard.start, shard.stop, shard.pts) for shard in shards] == [
        (20, 25, None),
        (25, 30, None),
        (30, 33, None),
    ]
    for shard in shards:
        assert_exact(list(decode(shard)), shard.first, shard.last, images)


def test_the_sound_beside_a_video_is_passed_over(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "both.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        stream = container.add_stream("libx264", rate=25, options=B_FRAMES)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t, image in enumerate(pictures(12, 64, 48)):
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            noise.sample_rate, noise.pts = 8000, 1024 * t
            container.mux(sound.encode(noise))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(sound.encode(None))
        container.mux(stream.encode(None))
    video, images = only(tmp_path), played(tmp_path / "both.mp4")
    timeline = probe(video)
    assert timeline.frame_count == len(images) == 12
    for shard in cut_shards(video, timeline, 5):
        assert_exact(list(decode(shard)), shard.first, shard.last, images)


@pytest.mark.parametrize("fps", [25.0, 10.0])
def test_images_play_at_the_given_rate_in_natural_order(tmp_path: Path, fps: float) -> None:
    images = list(pictures(12, 65, 49))
    for t, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{t}.png"), image)
    video = only(tmp_path)
    timeline = probe(video, image_fps=fps)
    assert (timeline.frame_count, timeline.width, timeline.height) == (12, 65, 49)
    assert timeline.pts_s.tolist() == [t / fps for t in range(12)]
    assert worked_frames(timeline, fps / 2).tolist() == list(range(0, 12, 2))
    assert worked_frames(probe(video), fps / 2).tolist() == list(range(12)), "nobody knows their times"
    for shard in cut_shards(video, timeline, 5, start=2):
        assert_exact(list(decode(shard)), shard.first, shard.last, images)


def test_images_are_read_as_stored_whatever_their_depth(tmp_path: Path) -> None:
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    cv2.imwrite(str(tmp_path / "1.png"), grey)
    cv2.imwrite(
        str(tmp_path / "2.png"), np.dstack([np.full((48, 64, 3), (9, 8, 7), np.uint8), np.zeros((48, 64), np.uint8)])
    )
    for t in range(3, 6):
        cv2.imwrite(str(tmp_path / f"{t}.png"), grey)
    video = only(tmp_path)
    (shard,) = cut_shards(video, probe(video), 5)
    first, second, *_ = (frame.image for frame in decode(shard))
    assert first is not None
    assert np.abs(first[..., 1].astype(float) - grey / 257).max() <= 1
    assert second is not None
    assert (second == (9, 8, 7)).all()
