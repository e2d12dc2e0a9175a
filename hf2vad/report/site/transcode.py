"""A video as a small H.264 file that every browser plays."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import DecodeConfig
from hf2vad.errors import VideoError
from hf2vad.schema import F64, U8
from hf2vad.video.decode import Frame
from hf2vad.video.decode import decode as decoded
from hf2vad.video.encode import Encoder
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import DEFAULT_DECODE, probe

CRF = 27
"""Loss of the copies."""
LONG_PAUSE = 30.0
"""Seconds between frames that are cut short in the copy: nobody watches them, and H.264 has no room for hours."""
PAUSE_LEFT = 1.0
"""Seconds that are left of such a pause."""

Cut = tuple[float, float]
"""Time of the frame after a pause, in the video, and seconds of the pause that the copy does not have."""


def cuts_of(times: F64) -> list[Cut]:
    """Pauses between frames at `times`, in seconds, that a transcoded copy leaves out."""
    steps = np.diff(times)
    return [(float(times[i + 1]), float(steps[i]) - PAUSE_LEFT) for i in np.flatnonzero(steps > LONG_PAUSE)]


def transcoded(
    video: Video, *, start: int, stop: int, longest: int, image_fps: float, decode: DecodeConfig = DEFAULT_DECODE
) -> bytes:
    """Frames `start` … `stop` of a video as mp4 with their own times, long pauses cut short; the first is at 0.

    The longer side has at most `longest` pixels, and pixels are square. Frames that cannot be decoded are left out: the
    one before is shown longer. Raises VideoError when there is none, or it cannot be encoded.
    """
    timeline = probe(video, image_fps=image_fps, decode=decode)
    across, high = timeline.display_size
    scale = min(1.0, longest / max(across, high))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (across, high))
    shards = list(cut_shards(video, timeline, 2**31 - 1, start=start, stop=stop))
    frames = (frame for shard in shards for frame in decoded(shard) if shard.start <= frame.index < shard.stop)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        try:
            written = _encode(path, _without_pauses(frames, timeline.pts_s[start:stop]), width, height)
        except (av.FFmpegError, OSError, ValueError) as error:  # what encoder and muxer do not take
            raise VideoError(f"{video.id}: cannot be transcoded: {' '.join(str(error).split())}") from None
        if not written:
            raise VideoError(f"{video.id}: no frame of it can be decoded")
        return path.read_bytes()


def _without_pauses(frames: Iterator[Frame], times: F64) -> Iterator[tuple[float, Frame]]:
    """`frames`, which are of `times`, with their time in the copy."""
    cuts = cuts_of(times)
    gone = 0.0
    for frame in frames:
        while cuts and cuts[0][0] <= frame.pts_s:
            gone += cuts.pop(0)[1]
        yield frame.pts_s - float(times[0]) - gone, frame


def _encode(path: Path, frames: Iterator[tuple[float, Frame]], width: int, height: int) -> int:
    """Returns how many frames were written."""
    written = 0
    with contextlib.closing(Encoder(path, (width, height), CRF)) as encoder:
        for seconds, frame in frames:
            if frame.image is None:
                continue
            image: U8 = frame.image
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            encoder.add(image, seconds)
            written += 1
    return written
