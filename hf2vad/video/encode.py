"""Frames with their own times as a small H.264 file that every browser plays."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import av.codec

from hf2vad.errors import VideoError
from hf2vad.schema import U8

TICK = Fraction(1, 90_000)
"""Time base, in seconds: what H.264 in mp4 usually has."""
ENCODERS: Mapping[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "bf": "0", "g": "50"},
    "libopenh264": {"b": "1500000", "g": "50"},
}
"""H.264 encoders that builds of FFmpeg have, the better first, and their options. A keyframe every 50 frames, so that a
player seeks quickly. No B-frames: mp4 has the durations of frames in the order of decoding, so with them a pause would
be that of a frame after it, and Chromium 150 shows that frame for as long."""


@lru_cache(maxsize=1)
def h264_encoder() -> str:
    """The name of an encoder that this FFmpeg has. Raises VideoError for none."""
    for name in ENCODERS:
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            return str(av.codec.Codec(name, "w").name)
    raise VideoError(f"no H.264 encoder in this build of PyAV (looked for {', '.join(ENCODERS)})")


class Encoder:
    """An mp4 file whose index comes first, so that it plays while it loads. To be closed."""

    def __init__(self, path: Path, size: tuple[int, int], crf: int) -> None:
        """`size`: width and height in pixels, both even; `crf`: libx264's loss, 0 for none and 51 for the most.

        Raises VideoError where there is no encoder.
        """
        name = h264_encoder()
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        quality = {"crf": str(crf)} if name == "libx264" else {}
        stream = self._container.add_stream(name, rate=25, options=quality | ENCODERS[name])
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TICK
        stream.codec_context.thread_count = 1
        self._stream, self._frames = stream, 0

    def add(self, image: U8, time: float) -> None:
        """Append a (H, W, 3) BGR picture, shown from `time` on, in seconds."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round(time / TICK), TICK
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def close(self) -> None:
        """Write what is left."""
        if self._frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()
