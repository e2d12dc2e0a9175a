"""Small videos of many kinds, written with PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.codec
import av.logging
import numpy as np
import pytest

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.schema import U8

FRAMES = 40
B_FRAMES = {"g": "10", "bf": "3", "threads": "1", "x264-params": "mbtree=0"}
"""Without its macroblock tree x264 gives the same bytes each time, so that damage hits the same frames."""


@dataclass(frozen=True)
class Clip:
    """How a video is coded; the container goes by the file's suffix."""

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: B_FRAMES)
    pix_fmt: str = "yuv420p"
    width: int = 64
    height: int = 48
    frames: int = FRAMES
    times: Sequence[int] | None = None
    """Milliseconds of the frames; none for 25 a second."""
    muxer: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> list[float]:
        times = self.times or range(0, 40 * self.frames, 40)
        return [(time - times[0]) / 1000 for time in times]


def pictures(count: int, width: int, height: int) -> Iterator[U8]:
    """A ground that moves by a pixel a frame, and a bar of another colour in each."""
    ground = np.random.default_rng(1).integers(0, 200, (height, width, 3), np.uint8)
    for t in range(count):
        image = np.roll(ground, t, axis=1)
        image[:8] = (7 * t) % 256
        yield image


def write_clip(path: Path, clip: Clip) -> Video:
    """Skips the test where FFmpeg has no such encoder."""
    try:
        av.codec.Codec(clip.codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"no encoder {clip.codec}")
    base = Fraction(1, 1000) if clip.times else Fraction(1, 25)
    with av.open(str(path), "w", options=clip.muxer) as container:
        stream = container.add_stream(clip.codec, rate=25, options=clip.options)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pix_fmt
        stream.codec_context.time_base = base
        for t, image in enumerate(pictures(clip.frames, clip.width, clip.height)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = clip.times[t] if clip.times else t, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return only(path)


def only(path: Path) -> Video:
    (video,) = catalogue(str(path))
    return video


def played(path: Path) -> list[U8]:
    """All frames as a player decodes them, from the start to the end or to the first error."""
    images: list[U8] = []
    with av.open(str(path)) as container:
        try:
            for frame in container.decode(video=0):
                images.append(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))  # noqa: PERF401
        except av.FFmpegError:
            pass
    return images
