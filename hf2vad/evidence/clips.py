"""Short clips around events, H.264 in mp4 as browsers play it: without and with the scored boxes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.codec
import cv2
import numpy as np

from hf2vad.errors import VideoError
from hf2vad.evidence.footage import Footage, fitted
from hf2vad.evidence.objects import Range
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.schema import F32, U8
from hf2vad.video.timeline import Timeline

WIDTH = 640
"""Pixels of a clip's width, at most."""
TICK = Fraction(1, 90_000)
"""Time base, in seconds: what H.264 in mp4 usually has."""
ENCODERS: Mapping[str, dict[str, str]] = {
    "libx264": {"crf": "26", "preset": "veryfast", "g": "50"},
    "libopenh264": {"b": "1500000", "g": "50"},
}
"""H.264 encoders that builds of FFmpeg have, the better first, and their options. A keyframe every 50 frames, so that a
player seeks quickly."""
ORANGE, WHITE = (12, 89, 232), (255, 255, 255)


def clip_range(event: Mapping[str, Any], timeline: Timeline, scored: Range, config: EvidenceConfig) -> Range:
    """The frames of an event's clip: some seconds around it, but no longer than allowed, and then around its peak."""
    start_s, stop_s = event["start_s"] - config.clip_seconds, event["end_s"] + config.clip_seconds
    if stop_s - start_s > config.clip_longest:
        latest = stop_s - config.clip_longest
        start_s = min(max(event["peak_s"] - config.clip_longest / 2, start_s), latest)
        stop_s = start_s + config.clip_longest
    first = int(np.searchsorted(timeline.pts_s, start_s - 1e-6, side="left"))
    last = int(np.searchsorted(timeline.pts_s, stop_s + 1e-6, side="right"))
    return max(first, scored[0]), min(last, scored[1])


def clip_files(footage: Footage, start: int, stop: int) -> dict[str, bytes]:
    """clip.mp4 and clip_boxes.mp4 of frames `start` … `stop`; the first frame is at 0 s, the others at their own times.

    The highest scoring box of a frame is orange, the others are white. Frames that cannot be decoded are left out: the
    one before is shown longer. Raises VideoError when there is no frame, or no encoder.
    """
    size = fitted(footage.shape, WIDTH, even=True)
    written = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("clip.mp4", "clip_boxes.mp4")]
        with contextlib.ExitStack() as opened:
            plain, boxed = (opened.enter_context(contextlib.closing(_Encoder(path, size))) for path in paths)
            for frame in footage.frames(start, stop, size):
                if frame.image is not None:
                    time = frame.pts_s - float(footage.timeline.pts_s[start])
                    plain.add(frame.image, time)
                    boxed.add(_with_boxes(frame.image, footage, frame.index, size), time)
                    written += 1
        if not written:
            raise VideoError(f"{footage.video.id}: no frame of {start}-{stop} can be decoded")
        return {path.name: path.read_bytes() for path in paths}


@lru_cache(maxsize=1)
def h264_encoder() -> str:
    """The name of an encoder that this FFmpeg has. Raises VideoError for none."""
    for name in ENCODERS:
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            return str(av.codec.Codec(name, "w").name)
    raise VideoError(f"no H.264 encoder in this build of PyAV (looked for {', '.join(ENCODERS)}), so no clips")


class _Encoder:
    """An mp4 file whose index comes first, so that it plays while it loads."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        name = h264_encoder()
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        stream = self._container.add_stream(name, rate=25, options=ENCODERS[name])
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
        if self._frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def _with_boxes(image: U8, footage: Footage, frame: int, size: tuple[int, int]) -> U8:
    drawn = image.copy()
    for box, colour in _coloured(footage, frame, size):
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, 2)
    return drawn


def _coloured(footage: Footage, frame: int, size: tuple[int, int]) -> Iterator[tuple[F32, tuple[int, int, int]]]:
    """The boxes of a frame, the highest scoring one last, so that it lies above the others."""
    boxes = footage.boxes(frame, size)
    score = footage.objects.table["score"].to_numpy()[footage.objects.of(frame, frame + 1)]
    order = np.argsort(score, kind="stable")
    for number in order:
        yield boxes[number], ORANGE if number == order[-1] else WHITE
