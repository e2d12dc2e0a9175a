"""Videos that are larger than they may be, or claim to be: refused by their headers, in little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hf2vad.archive.catalog import catalogue
from hf2vad.archive.settings import LimitsConfig
from hf2vad.errors import ConfigError, VideoError
from hf2vad.video.timeline import probe
from tests.clips import Clip, only, pictures, write_clip
from tests.mutations import Examined, examine

MEMORY_MIB = 100.0
"""By which a process may grow; the smallest bomb here would take 380 MiB."""


def png(width: int, height: int, rows: int) -> bytes:
    """A PNG of black and white pixels that has so many of its rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(rows)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + info + bytes(100)


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame header says something else."""
    _, packed = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))
    data = bytearray(packed.tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 100)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 108) + bytes(100) + struct.pack("<H", len(tags)) + entries + bytes(4)


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def ue(self, value: int) -> None:
        """Unsigned Exp-Golomb code."""
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code

    def raw(self, bits: str) -> None:
        self.text += bits

    def bytes(self) -> bytes:
        full = self.text + "1"
        full += "0" * (-len(full) % 8)
        data = int(full, 2).to_bytes(len(full) // 8, "big")
        for tail in (b"\0", b"\1", b"\2", b"\3"):  # emulation prevention
            data = data.replace(b"\0\0" + tail, b"\0\0\3" + tail)
        return data


def sps(width: int, height: int) -> bytes:
    """An H.264 sequence parameter set, baseline, of frames of that size."""
    bits = _Bits()
    for value in (0, 0, 2, 1):  # id, frame number bits, picture order count 2, reference frames
        bits.ue(value)
    bits.raw("0")
    bits.ue(width // 16 - 1)
    bits.ue(height // 16 - 1)
    bits.raw("1" + "1" + "0" + "0")
    return b"\x67" + bytes([66, 0, 52]) + bits.bytes()


def write_giant(path: Path, width: int, height: int) -> None:
    """A transport stream of small frames whose parameter sets say that they are giants."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"profile": "baseline", "g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in [*pictures(20, 64, 48), None]:
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="bgr24")
            for packet in stream.encode(frame):
                units = bytes(packet).split(b"\0\0\1")
                forged = [sps(width, height) if unit[:1] in (b"\x67", b"\x27") else unit for unit in units]
                giant = av.Packet(b"\0\0\1".join(forged))
                giant.pts, giant.dts, giant.time_base = packet.pts, packet.dts, packet.time_base
                giant.stream, giant.is_keyframe = stream, packet.is_keyframe
                container.mux(giant)


def claim(path: Path, clip: Clip, mark: bytes, offset: int, size: bytes) -> None:
    """Write `clip`, then other numbers into its container's header, so far behind `mark`."""
    write_clip(path, clip)
    data = bytearray(path.read_bytes())
    at = data.index(mark) + offset
    data[at : at + len(size)] = size
    path.write_bytes(data)


IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "header.png": (lambda: png(100_000, 100_000, 10), "frames of 100000×100000 pixels"),
    "bomb.png": (lambda: png(40_000, 40_000, 40_000), "frames of 40000×40000 pixels"),
    "header.jpg": (lambda: jpeg(65_500, 65_500), "frames of 65500×65500 pixels"),
    "header.bmp": (lambda: bmp(100_000, 100_000), "frames of 100000×100000 pixels"),
    "header.tiff": (lambda: tiff(100_000, 100_000), "frames of 100000×100000 pixels"),
}

VIDEOS: dict[str, tuple[Callable[[Path], None], str]] = {
    "sps.ts": (lambda path: write_giant(path, 16_000, 16_000), "16000×16000 pixels"),
    "beyond.ts": (lambda path: write_giant(path, 100_000, 100_000), ""),
    "mjpeg.avi": (
        lambda path: claim(path, Clip("mjpeg", {}, "yuvj420p"), b"strf", 12, struct.pack("<ii", 100_000, 100_000)),
        "",
    ),
    "avc1.mp4": (lambda path: claim(path, Clip(), b"avc1", 28, struct.pack(">HH", 65_535, 65_535)), ""),
}
"""How a file is made, and what its failure says; nothing where the size that it claims may also be found out to be a
lie, and the frames be read as they are."""


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examined]:
    """All of them, and good images with one that claims too much, looked at by one process one after the other."""
    archive = tmp_path_factory.mktemp("giants")
    for name, (make, _) in IMAGES.items():
        (archive / f"{name}s").mkdir()
        for t in range(5):
            (archive / f"{name}s" / f"{t}-{name}").write_bytes(make())
    for name, (write, _) in VIDEOS.items():
        write(archive / name)
    (archive / "among good").mkdir()
    for t, image in enumerate(pictures(8, 64, 48)):
        cv2.imwrite(str(archive / "among good" / f"{t}.png"), image)
    (archive / "among good" / "5.png").write_bytes(png(40_000, 40_000, 40_000))
    return {video.video: video for video in examine(archive)}


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(
    examined: dict[str, Examined], name: str
) -> None:
    video = examined[f"{name}s"]
    assert video.outcome == "failure", video
    assert f"{IMAGES[name][1]}, limits.pixels allows 33,554,432" in video.detail
    assert video.grown_mib < MEMORY_MIB


@pytest.mark.slow
def test_among_good_images_it_is_a_frame_without_an_image(examined: dict[str, Examined]) -> None:
    video = examined["among good"]
    assert (video.outcome, video.detail) == ("partial", "7 of 8 frames")
    assert video.grown_mib < MEMORY_MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_that_claims_giant_frames_takes_little_memory(examined: dict[str, Examined], name: str) -> None:
    video, reason = examined[name], VIDEOS[name][1]
    assert video.outcome in (("failure",) if reason else ("failure", "partial", "whole")), video
    assert reason in video.detail
    assert video.grown_mib < MEMORY_MIB


def refusal(path: Path, **limits: float) -> str:
    (video,) = catalogue(str(path))
    with pytest.raises(VideoError) as raised:
        probe(video, limits=LimitsConfig(**limits))  # type: ignore[arg-type]
    return str(raised.value)


def test_each_limit_is_one_line_that_names_it(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip())
    assert refusal(tmp_path, pixels=64 * 48 - 1) == "clip.mp4: frames of 64×48 pixels, limits.pixels allows 3,071"
    assert refusal(tmp_path, frames=39) == "clip.mp4: more frames than limits.frames allows, 39"
    assert "hours, limits.hours allows 0.0001" in refusal(tmp_path, hours=0.0001)
    exact = LimitsConfig(pixels=64 * 48, frames=40, hours=1.56 / 3600)
    assert probe(only(tmp_path), limits=exact).frame_count == 40


def test_limits_hold_for_images_and_for_videos_that_are_counted_by_decoding(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for t, image in enumerate(pictures(12, 64, 48)):
        cv2.imwrite(str(folder / f"{t}.bmp"), image)
    assert refusal(folder, frames=11) == "images: more frames than limits.frames allows, 11"
    assert "bytes, too many for limits.pixels" in refusal(folder, pixels=100)
    write_clip(tmp_path / "counted.avi", Clip())
    assert probe(only(tmp_path / "counted.avi")).counted
    assert refusal(tmp_path / "counted.avi", frames=39) == "counted.avi: more frames than limits.frames allows, 39"


def test_pauses_of_days_are_too_many_hours(tmp_path: Path) -> None:
    day = 24 * 3600 * 1000
    times = [*range(0, 1400, 40), *(1360 + (day - 1000) * t for t in range(1, 6))]
    write_clip(tmp_path / "clip.mkv", Clip(times=times))
    assert refusal(tmp_path) == "clip.mkv: 120.0 hours, limits.hours allows 72"


@pytest.mark.parametrize("name", ["pixels", "frames", "hours"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"limits.{name} must be positive, got 0"):
        LimitsConfig(**{name: 0})


def test_an_image_of_a_kind_that_is_not_supported_is_not_decoded(tmp_path: Path) -> None:
    """Decoders of other kinds are not reached by a name; a fresh process, so that nothing is loaded already."""
    folder = tmp_path / "cam"
    folder.mkdir()
    _, packed = cv2.imencode(".webp", np.zeros((48, 64, 3), np.uint8))
    for t in range(5):
        (folder / f"{t}.png").write_bytes(packed.tobytes())
    script = (
        "import sys, json; from hf2vad.video.images import image_header; "
        "print(json.dumps(image_header(open(sys.argv[1], 'rb').read())))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder / "0.png")], capture_output=True, text=True)
    assert json.loads(done.stdout) is None
    assert refusal(folder) == "cam: none of its first 5 images can be decoded"
