from __future__ import annotations

import socket
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hf2vad.archive.catalog import catalogue
from hf2vad.errors import NotFoundError, VideoError
from hf2vad.video.decode import Frame, decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.clips import Clip, only, pictures, played, write_clip

FASTSTART = Clip(muxer={"movflags": "faststart"})
MJPEG = Clip("mjpeg", {}, "yuvj420p")
CLUSTERS = Clip(muxer={"cluster_time_limit": "200"})


def frames_of(path: Path, length: int = 1000, start: int = 0) -> list[Frame]:
    """What shards decode, without their halos."""
    video = only(path)
    shards = cut_shards(video, probe(video), length, start=start)
    return [frame for s in shards for frame in decode(s) if s.start <= frame.index < s.stop]


def zeroed(path: Path, begin: float, end: float) -> None:
    """Put zeros over a part of a file, given in fractions of its size."""
    data = bytearray(path.read_bytes())
    first, last = int(begin * len(data)), int(end * len(data))
    data[first:last] = bytes(last - first)
    path.write_bytes(data)


def cut_off(path: Path, rest: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(rest * len(data))])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\0", "not a readable video"),
        (b"RIFF", "not a readable video"),
        (b"This is a text.\n" * 100, "not a readable video"),
        (np.random.default_rng(0).bytes(3000), "not a readable video"),
    ],
    ids=["empty", "one byte", "four bytes", "text", "noise"],
)
def test_what_is_no_video_is_an_error_that_names_the_file(
    tmp_path: Path, suffix: str, content: bytes, reason: str
) -> None:
    (tmp_path / f"clip{suffix}").write_bytes(content)
    with pytest.raises(VideoError, match=rf"^clip\{suffix}: {reason}"):
        probe(only(tmp_path))


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n# {}\n",
    ],
    ids=["hls", "concat", "sdp"],
)
def test_a_playlist_that_is_called_a_video_opens_nothing_of_what_it_names(tmp_path: Path, playlist: str) -> None:
    write_clip(tmp_path / "real.ts", Clip("mpeg2video", {}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        there = [str(tmp_path / "real.ts"), "real.ts", f"http://127.0.0.1:{server.getsockname()[1]}/real.ts"]
        for i, named in enumerate(there):
            (tmp_path / f"{i}.mp4").write_text(playlist.format(named))
            with pytest.raises(VideoError, match=rf"^{i}\.mp4: not a readable video"):
                probe(only(tmp_path / f"{i}.mp4"))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_file_with_sound_alone_is_an_error(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        noise.sample_rate, noise.pts = 8000, 0
        container.mux(stream.encode(noise))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"^sound\.mp4: no video stream"):
        probe(only(tmp_path))


def test_a_video_without_a_frame_is_an_error(tmp_path: Path) -> None:
    write_clip(tmp_path / "none.avi", Clip("mpeg4", {}))
    data = (tmp_path / "none.avi").read_bytes()
    (tmp_path / "none.avi").write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(VideoError, match=r"^none\.avi: its video stream has no frame"):
        probe(only(tmp_path))


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.mp4", Clip())
    (shard,) = cut_shards(video, probe(video), 100)
    (tmp_path / "clip.mp4").rename(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError, match=r"clip\.mp4"):
        list(decode(shard))
    (tmp_path / "clip.mp4").symlink_to(tmp_path / "nowhere")
    (video,) = catalogue(str(tmp_path))
    with pytest.raises(NotFoundError, match=r"clip\.mp4"):
        probe(video)


@pytest.mark.parametrize(
    ("name", "clip", "promise"),
    [
        ("cut.mp4", FASTSTART, True),
        ("cut.avi", MJPEG, True),
        ("reordered.avi", Clip(), True),
        ("cut.mkv", Clip(), False),
        ("cut.ts", Clip(), False),
        ("cut.webm", Clip("libvpx-vp9", {"g": "10", "deadline": "realtime"}), False),
    ],
)
def test_of_a_truncated_file_all_that_is_there_is_decoded(tmp_path: Path, name: str, clip: Clip, promise: bool) -> None:
    path = tmp_path / name
    write_clip(path, clip)
    images = played(path)
    cut_off(path, 0.7)
    timeline = probe(only(path))
    assert 10 < timeline.frame_count < 36
    expected = f"truncated: its header promises 40 frames, {timeline.frame_count} are there" if promise else None
    assert timeline.truncated == expected
    # A frame at the end may be shown after others that are gone.
    assert timeline.pts_s[:-4] == pytest.approx([t / 25 for t in range(timeline.frame_count - 4)], abs=0.0011)
    for length in (1000, 7):
        frames = frames_of(path, length)
        assert [frame.index for frame in frames] == list(range(timeline.frame_count))
        for frame in frames[:-4]:
            assert frame.image is not None
            assert np.array_equal(frame.image, images[frame.index])


def test_a_frame_of_which_a_part_is_missing_has_no_image(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.avi", Clip())
    cut_off(tmp_path / "clip.avi", 0.6)
    with av.open(str(tmp_path / "clip.avi")) as container:
        corrupt = [frame.is_corrupt for frame in container.decode(video=0)]
    assert sum(corrupt) == 1
    assert [frame.image is None for frame in frames_of(tmp_path / "clip.avi")] == corrupt


def test_a_file_whose_index_is_cut_off_is_an_error(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip())
    cut_off(tmp_path / "clip.mp4", 0.6)
    with pytest.raises(VideoError, match=r"^clip\.mp4: not a readable video"):
        probe(only(tmp_path))


@pytest.mark.parametrize(
    ("name", "clip"), [("clip.mp4", Clip()), ("fast.mp4", FASTSTART), ("clip.ts", Clip()), ("clip.mkv", CLUSTERS)]
)
@pytest.mark.parametrize("length", [1000, 7, 1])
def test_behind_a_damaged_stretch_frames_keep_their_places(tmp_path: Path, name: str, clip: Clip, length: int) -> None:
    write_clip(tmp_path / name, clip)
    images = played(tmp_path / name)
    zeroed(tmp_path / name, 0.45, 0.55)
    frames = frames_of(tmp_path / name, length)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    exact = set()
    for frame in frames:
        place = round(frame.pts_s * 25)
        if frame.image is not None and np.array_equal(frame.image, images[place]):
            exact.add(place)
    assert exact >= {*range(9), *range(30, 40)}
    assert len(exact) < 40


@pytest.mark.parametrize("clip", [MJPEG, Clip()], ids=["mjpeg", "reordered"])
def test_the_frames_of_a_damaged_avi_are_the_same_wherever_decoding_begins(tmp_path: Path, clip: Clip) -> None:
    path = tmp_path / "clip.avi"
    write_clip(path, clip)
    images = played(path)
    zeroed(path, 0.45, 0.55)
    whole = frames_of(path)
    assert 30 <= len(whole) < 40
    places = [[t for t, i in enumerate(images) if f.image is not None and np.array_equal(f.image, i)] for f in whole]
    known = [place[0] for place in places if place]
    assert known == sorted(set(known))
    assert len(known) >= 20
    for start in (1, 12, 18, 25):
        rest = frames_of(path, 5, start)
        assert [frame.index for frame in rest] == list(range(start, len(whole)))
        for frame in rest:
            assert np.array_equal(frame.image, whole[frame.index].image)  # type: ignore[arg-type]


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    folder = tmp_path / "walk"
    folder.mkdir()
    for t, image in enumerate(pictures(12, 64, 48)):
        cv2.imwrite(str(folder / f"{t}.png"), image)
    return folder


@pytest.mark.parametrize("damaged", [[0], [0, 1, 2], [5], [11]])
@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50)], ids=["empty", "text", "start"]
)
def test_damaged_images_are_frames_without_an_image(walk: Path, damaged: list[int], content: bytes) -> None:
    for t in damaged:
        (walk / f"{t}.png").write_bytes(content)
    frames = frames_of(walk)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.index for frame in frames if frame.image is None] == damaged
    for frame, image in zip(frames, pictures(12, 64, 48), strict=True):
        assert frame.index in damaged or np.array_equal(frame.image, image)  # type: ignore[arg-type]


def test_a_folder_whose_images_are_all_damaged_is_an_error(walk: Path) -> None:
    for t in range(12):
        (walk / f"{t}.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"^walk: none of its first 10 images can be decoded"):
        probe(only(walk))


def test_an_image_of_another_size_is_decoded_at_its_own(walk: Path) -> None:
    cv2.imwrite(str(walk / "7.png"), np.zeros((50, 70, 3), np.uint8))
    frames = frames_of(walk, 3)
    assert [frame.size for frame in frames] == [(64, 48)] * 7 + [(70, 50)] + [(64, 48)] * 4


@pytest.mark.parametrize("lost", [0, 7])
def test_an_image_that_leads_nowhere_is_not_found_and_named(walk: Path, lost: int) -> None:
    (walk / f"{lost}.png").unlink()
    (walk / f"{lost}.png").symlink_to(walk / "nowhere")
    with pytest.raises(NotFoundError, match=rf"{lost}\.png"):
        frames_of(walk)


def test_a_shard_of_a_file_that_became_shorter_has_its_frames_without_images(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.ts", Clip())
    timeline = probe(video)
    cut_off(tmp_path / "clip.ts", 0.5)
    (shard,) = cut_shards(video, timeline, 100)
    frames = list(decode(shard))
    assert [frame.index for frame in frames] == list(range(40))
    assert frames[0].image is not None
    assert all(frame.image is None for frame in frames[30:])
