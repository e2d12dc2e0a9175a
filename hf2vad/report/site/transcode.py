"""A video as a small H.264 file that every browser plays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import cut_shards
from hf2vad.archive.timeline import probe
from hf2vad.archive.video import Frame, decode
from hf2vad.errors import VideoError
from hf2vad.schema import U8

BASE = Fraction(1, 90_000)
"""Time base, in seconds: what H.264 in mp4 usually has."""
OPTIONS = {"crf": "27", "preset": "veryfast", "g": "50"}
"""A keyframe every 50 frames, so that the player seeks quickly."""


def transcoded(video: Video, *, start: int, stop: int, longest: int, image_fps: float) -> bytes:
    """Frames `start` … `stop` of a video as mp4 with their own times; the first is at 0.

    The longer side has at most `longest` pixels. Frames that cannot be decoded are left out: the one before is shown
    longer. Raises VideoError when there is none.
    """
    timeline = probe(video, image_fps=image_fps)
    scale = min(1.0, longest / max(timeline.width, timeline.height))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (timeline.width, timeline.height))
    shards = list(cut_shards(video, timeline, 2**31 - 1, start=start, stop=stop))
    frames = (frame for shard in shards for frame in decode(shard) if shard.start <= frame.index < shard.stop)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        if not _encode(path, frames, float(timeline.pts_s[start]), width, height):
            raise VideoError(f"{video.id}: no frame of it can be decoded")
        return path.read_bytes()


def _encode(path: Path, frames: Iterator[Frame], first_s: float, width: int, height: int) -> int:
    """Returns how many frames were written."""
    written = 0
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = BASE
        stream.codec_context.thread_count = 1
        for frame in frames:
            if frame.image is None:
                continue
            image: U8 = frame.image
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = round((frame.pts_s - first_s) / BASE), BASE
            container.mux(stream.encode(picture))
            written += 1
        container.mux(stream.encode(None))
    return written
