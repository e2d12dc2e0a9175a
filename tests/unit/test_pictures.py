"""Pictures are shown the right way up, without combs, and from the right stream of a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import PictureType
from PIL import Image

from hf2vad.archive.settings import DecodeConfig
from hf2vad.cubes.settings import ExtractionConfig, extraction_difference, extraction_fingerprint
from hf2vad.errors import VideoError
from hf2vad.schema import U8
from hf2vad.settings import from_dict, to_dict
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import Timeline, probe
from tests.clips import only, pictures, played

WIDTH, HEIGHT = 64, 48


def write(
    path: Path, images: list[U8], *, turn: int = 0, flip: bool = False, aspect: Fraction | None = None, qp: int = 10
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "bf": "2", "threads": "1", "qp": f"{qp}"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn or flip:
            stream.set_display_rotation(turn, vflip=flip)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))


def images_of(path: Path, length: int = 1000, config: DecodeConfig | None = None) -> list[U8]:
    video = only(path)
    timeline = probe(video, decode=config or DecodeConfig())
    shards = cut_shards(video, timeline, length)
    frames = [frame for shard in shards for frame in decode(shard) if shard.start <= frame.index < shard.stop]
    assert all(frame.image is not None for frame in frames)
    return [frame.image for frame in frames if frame.image is not None]


def timeline_of(path: Path, config: DecodeConfig | None = None) -> Timeline:
    return probe(only(path), decode=config or DecodeConfig())


@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_turned_video_is_upright_as_its_players_show_it(
    tmp_path: Path, turn: int, quarters: int, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    write(path, list(pictures(12, WIDTH, HEIGHT)), turn=turn)
    timeline = timeline_of(path)
    assert (timeline.width, timeline.height) == ((HEIGHT, WIDTH) if quarters % 2 else (WIDTH, HEIGHT))
    for image, stored in zip(images_of(path, 5), played(path), strict=True):
        assert np.array_equal(image, np.rot90(stored, quarters))
    as_stored = DecodeConfig(rotate=False)
    assert timeline_of(path, as_stored).width == WIDTH
    assert np.array_equal(images_of(path, 5, as_stored)[3], played(path)[3])


def test_a_flipped_video_is_upright(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", list(pictures(6, WIDTH, HEIGHT)), flip=True)
    assert np.array_equal(images_of(tmp_path / "clip.mp4")[2], played(tmp_path / "clip.mp4")[2][::-1])


def test_a_turned_picture_is_scaled_in_its_own_shape(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", list(pictures(6, WIDTH, HEIGHT)), turn=90)
    video = only(tmp_path / "clip.mp4")
    (shard,) = cut_shards(video, probe(video), 100)
    frame = next(iter(decode(shard, lambda width, height: (width // 2, height // 2))))
    assert frame.size == (HEIGHT, WIDTH)
    assert frame.image is not None
    assert frame.image.shape == (WIDTH // 2, HEIGHT // 2, 3)


@pytest.mark.parametrize("tag", [1, 3, 6, 8])
def test_images_are_upright_by_their_exif_tag(tmp_path: Path, tag: int) -> None:
    ground = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    ground[:10, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = tag
    for t in range(5):
        Image.fromarray(ground).save(tmp_path / f"{t}.jpg", exif=exif, quality=95)
    quarters = {1: 0, 3: 2, 6: 3, 8: 1}[tag]
    timeline = timeline_of(tmp_path)
    assert (timeline.width, timeline.height) == ((HEIGHT, WIDTH) if quarters % 2 else (WIDTH, HEIGHT))
    assert np.abs(images_of(tmp_path)[0].astype(int) - np.rot90(ground, quarters)).mean() < 2
    assert timeline_of(tmp_path, DecodeConfig(rotate=False)).width == WIDTH


def interlaced(path: Path, codec: str, options: dict[str, str]) -> None:
    """Each picture has every other line from a moment later, as a bar moves sideways."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for t in range(20):
            image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            left = 8 * t % 48
            image[0::2, left : left + 12] = 220
            image[1::2, left + 4 : left + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))


def combs(image: U8) -> float:
    """How much lines differ from those between which they lie."""
    grey = image[..., 1].astype(float)
    return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_interlaced_pictures_lose_their_combs_and_shards_do_not_show(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    interlaced(path, "libx264", {"x264-params": "tff=1:keyint=6:bframes=2", "threads": "1", "qp": "10"})
    never = DecodeConfig(deinterlace="never")
    assert timeline_of(path).interlaced
    assert not timeline_of(path, never).interlaced
    stored = images_of(path, 1000, never)
    assert all(np.array_equal(one, other) for one, other in zip(stored, played(path), strict=True))
    whole = images_of(path)
    assert len(whole) == len(stored) == 20
    assert sum(map(combs, whole)) < 0.7 * sum(map(combs, stored))
    for length in (1, 3, 7):
        assert all(np.array_equal(one, other) for one, other in zip(images_of(path, length), whole, strict=True))


def test_progressive_pictures_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", list(pictures(12, WIDTH, HEIGHT)))
    assert not timeline_of(tmp_path / "clip.mp4").interlaced
    for image, stored in zip(images_of(tmp_path / "clip.mp4"), played(tmp_path / "clip.mp4"), strict=True):
        assert np.array_equal(image, stored)


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        for image in pictures(10, WIDTH, HEIGHT):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(video.encode(None))
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((200, 200, 3), np.uint8), format="bgr24")))
        container.mux(cover.encode(None))
    timeline = timeline_of(path)
    assert (timeline.frame_count, timeline.width, timeline.height) == (10, WIDTH, HEIGHT)
    assert timeline.chosen == ""


def test_of_several_streams_the_largest_is_taken_and_the_tables_say_so(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for scale in (1, 2):
            stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = scale * WIDTH, scale * HEIGHT, "yuv420p"
            streams.append((stream, scale))
        for image in [*pictures(10, WIDTH, HEIGHT), None]:
            for stream, scale in streams:
                large = None if image is None else cv2.resize(image, None, fx=scale, fy=scale)
                frame = None if large is None else av.VideoFrame.from_ndarray(np.asarray(large), format="bgr24")
                container.mux(stream.encode(frame))
    timeline = timeline_of(path)
    assert (timeline.width, timeline.height) == (2 * WIDTH, 2 * HEIGHT)
    assert timeline.notes == {"stream": "2 of 2 video streams, the largest: h264 128×96"}
    assert images_of(path, 3)[0].shape == (2 * HEIGHT, 2 * WIDTH, 3)


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", list(pictures(6, WIDTH, HEIGHT)), aspect=Fraction(4, 3))
    timeline = timeline_of(tmp_path / "clip.mp4")
    assert timeline.notes == {"pixel_aspect": [4, 3]}
    assert timeline.display_size == (85, HEIGHT)
    assert images_of(tmp_path / "clip.mp4")[0].shape == (HEIGHT, WIDTH, 3)


KINDS = {
    "clip.m4v": ("mp4", "libx264"),
    "clip.3gp": ("3gp", "libx264"),
    "clip.mts": ("mpegts", "libx264"),
    "clip.m2ts": ("mpegts", "libx264"),
    "clip.mpg": ("mpeg", "mpeg1video"),
    "clip.mpeg": ("mpeg", "mpeg2video"),
    "clip.vob": ("vob", "mpeg2video"),
    "clip.flv": ("flv", "libx264"),
    "clip.f4v": ("mp4", "libx264"),
    "clip.asf": ("asf", "msmpeg4v2"),
    "clip.wmv": ("asf", "wmv2"),
    "clip.ogv": ("ogg", "libvpx"),
    "clip.mjpeg": ("mjpeg", "mjpeg"),
    "clip.264": ("h264", "libx264"),
    "clip.h265": ("hevc", "libx265"),
    "clip.mp4": ("mpeg", "mpeg2video"),
    "clip.avi": ("mpegts", "libx264"),
}
"""By its name, what a file really is; the last two names lie."""


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_read_by_what_it_holds(tmp_path: Path, name: str) -> None:
    kind, codec = KINDS[name]
    options = {"x265-params": "log-level=none:pools=none"} if codec == "libx265" else {}
    with av.open(str(tmp_path / name), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for image in pictures(12, WIDTH, HEIGHT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    timeline = timeline_of(tmp_path / name)
    assert timeline.frame_count == 12
    assert timeline.pts_s == pytest.approx([t / 25 for t in range(12)], abs=0.0011)
    whole = images_of(tmp_path / name)
    assert all(np.array_equal(one, other) for one, other in zip(images_of(tmp_path / name, 5), whole, strict=True))


def test_a_file_without_a_decoder_says_how_to_convert_it(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", list(pictures(6, WIDTH, HEIGHT)))
    data = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(VideoError, match=r"ffmpeg -i IN -c:v libx264 OUT\.mkv|no frame can be decoded|no video stream"):
        timeline_of(tmp_path / "clip.mp4")


def test_deblocking_can_be_skipped_in_pictures_that_no_other_refers_to_or_in_all(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, list(pictures(20, WIDTH, HEIGHT)), qp=40)
    plain = images_of(path)
    with av.open(str(path)) as container:
        kinds = [PictureType(frame.pict_type).name for frame in container.decode(video=0)]
    assert {"I", "P", "B"} <= set(kinds)
    for choice, without in (("noref", {"B"}), ("all", {"I", "P", "B"})):
        config = DecodeConfig(skip_loop_filter=choice)  # type: ignore[arg-type]
        images = images_of(path, config=config)
        others = {kind for kind, one, two in zip(kinds, plain, images, strict=True) if not np.array_equal(one, two)}
        assert others == without
        assert all(map(np.array_equal, images_of(path, 3, config), images)), "whatever the shard"


def test_settings_of_decoding_change_an_extraction_only_where_they_are_not_the_defaults() -> None:
    plain, turned = ExtractionConfig(), ExtractionConfig(decode=DecodeConfig(rotate=False))
    assert "decode" not in to_dict(plain)
    assert to_dict(turned)["decode"] == {"rotate": False, "deinterlace": "auto"}
    assert extraction_fingerprint(plain) != extraction_fingerprint(turned)
    assert from_dict(ExtractionConfig, to_dict(turned)) == turned
    assert from_dict(ExtractionConfig, to_dict(plain)) == plain
    assert extraction_difference(plain, turned) == "decode.rotate: True in the bundle, False given"
    assert extraction_difference(turned, plain) == "decode.rotate: False in the bundle, True given"
