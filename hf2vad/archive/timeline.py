"""The timeline of a video: its frames' times, found by reading packets without decoding them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hf2vad.archive.catalog import IMAGE_SUFFIXES, Video
from hf2vad.archive.container import decoded_frames, opened, video_stream
from hf2vad.archive.images import decode_image, image_size
from hf2vad.archive.settings import LimitsConfig
from hf2vad.errors import VideoError
from hf2vad.storage import join, list_dir, read_bytes

FIRST_TRIES = 10
"""Images of a folder that are looked at to learn its frame size, when the first ones are damaged."""

IMAGE_BYTES = 8
"""Bytes of a file for each pixel that it may have: 16 bits for each of red, green, blue and opacity, not compressed."""
DEFAULT_LIMITS = LimitsConfig()


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is known of a video before a frame of it is decoded: 16 bytes a frame.

    On its way between processes it is packed, so that it stays out of Ray's object store, which counts as memory of the
    driver: even spacing takes a fraction of a byte a frame, and no bit is lost.
    """

    frame_count: int
    width: int
    height: int
    pts_s: npt.NDArray[np.float64]
    """(frames,): presentation times, seconds from the first frame."""
    pts: npt.NDArray[np.int64] | None = None
    """(frames,): the same in the stream's time base, ascending; none for images and sequential videos."""
    keyframes: npt.NDArray[np.int64] | None = None
    """Those of the frames that decoding can start from."""
    names: tuple[str, ...] = ()
    """File names of the images."""
    sequential: bool = False
    """The timestamps are unusable (missing, or not one a frame): frames are counted from the start."""
    promised: int = 0
    """Frames that the file's header promises; 0 when it does not say."""

    @property
    def truncated(self) -> str | None:
        """What to say of a file that holds fewer frames than its header promises."""
        if self.promised <= self.frame_count:
            return None
        return f"truncated: its header promises {self.promised} frames, {self.frame_count} are there"

    def keyframes_before(self, pts: int) -> tuple[int, ...]:
        """Times of the last keyframe at or before `pts` and, if there is one, of the one before it."""
        assert self.keyframes is not None
        end = int(np.searchsorted(self.keyframes, pts, side="right"))
        return tuple(int(time) for time in self.keyframes[max(0, end - 2) : end][::-1])

    def __reduce__(self) -> tuple[Callable[..., Timeline], tuple[dict[str, Any], dict[str, _Packed]]]:
        values = dict(vars(self))
        packed = {name: _pack(values.pop(name)) for name in ("pts_s", "pts", "keyframes") if values[name] is not None}
        return _unpickled, (values, packed)


_Packed = tuple[str, bytes]
"""Type of an array of 8-byte numbers, and the compressed second differences of their bits as integers."""


def _pack(values: npt.NDArray[Any]) -> _Packed:
    bits = values.view(np.int64)
    return values.dtype.str, zlib.compress(np.diff(np.diff(bits, prepend=0), prepend=0).tobytes(), level=1)


def _unpack(packed: _Packed) -> npt.NDArray[Any]:
    kind, data = packed
    return np.frombuffer(zlib.decompress(data), np.int64).cumsum().cumsum().view(kind)


def _unpickled(values: dict[str, Any], packed: dict[str, _Packed]) -> Timeline:
    return Timeline(**(values | {name: _unpack(array) for name, array in packed.items()}))


def probe(video: Video, *, image_fps: float = 25.0, limits: LimitsConfig = DEFAULT_LIMITS) -> Timeline:
    """Count and time the frames of `video`; folders of images play at `image_fps`.

    Raises VideoError when it is no video, has no frame that can be read, or is larger than `limits`.
    """
    images = video.kind == "images"
    timeline = _probe_images(video, image_fps, limits) if images else _probe_file(video, limits)
    if timeline.pts_s[-1] > 3600 * limits.hours:
        raise VideoError(f"{video.id}: {timeline.pts_s[-1] / 3600:.1f} hours, limits.hours allows {limits.hours:g}")
    return timeline


def _probe_images(video: Video, fps: float, limits: LimitsConfig) -> Timeline:
    found = {entry.name: entry.size for entry in list_dir(video.uri) if not entry.is_dir and entry.name[0] != "."}
    names = sorted((name for name in found if name.lower().endswith(IMAGE_SUFFIXES)), key=_natural)
    _check_count(video, len(names), limits)
    for name in names:
        if found[name] > IMAGE_BYTES * limits.pixels:
            raise VideoError(f"{video.id}: image {name!r} has {found[name]:,} bytes, too many for limits.pixels")
    for name in names[:FIRST_TRIES]:
        data = read_bytes(join(video.uri, name))
        size = image_size(data)
        if size is not None:
            _check_size(video, *size, limits)
            if decode_image(data, size) is not None:
                return Timeline(len(names), *size, np.arange(len(names)) / fps, names=tuple(names))
    raise VideoError(f"{video.id}: none of its first {min(len(names), FIRST_TRIES)} images can be decoded")


def _natural(name: str) -> tuple[tuple[int | str, ...], str]:
    """Sorts 2.jpg before 10.jpg: odd parts are numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name


def _check_size(video: Video, width: int, height: int, limits: LimitsConfig) -> None:
    if width * height > limits.pixels:
        raise VideoError(f"{video.id}: frames of {width}×{height} pixels, limits.pixels allows {limits.pixels:,}")
    if not width * height:
        raise VideoError(f"{video.id}: its header gives no frame size")


def _check_count(video: Video, frames: int, limits: LimitsConfig) -> None:
    if frames > limits.frames:
        raise VideoError(f"{video.id}: more frames than limits.frames allows, {limits.frames:,}")


def _probe_file(video: Video, limits: LimitsConfig) -> Timeline:
    with opened(video, pixels=limits.pixels) as container:
        stream = video_stream(container, video)
        context = stream.codec_context
        size = (context.width, context.height)
        _check_size(video, *size, limits)
        # Packets without bytes stand for frames that were dropped when recording: a decoder gives nothing for them.
        times: list[int | None] = []
        keys: list[int] = []
        packets = 0
        try:
            for packet in container.demux(stream):
                packets += packet.dts is not None
                if packet.size and not packet.is_discard:
                    times.append(packet.pts)
                    _check_count(video, len(times), limits)
                    if packet.is_keyframe and packet.pts is not None:
                        keys.append(packet.pts)
        except av.FFmpegError as error:
            if not times:
                raise VideoError(f"{video.id}: no packet can be read: {error.strerror}") from None
        if not times:
            raise VideoError(f"{video.id}: its video stream has no frame")
        known = [time for time in times if time is not None]
        pts = np.unique(np.array(known, np.int64))
        usable = len(pts) == len(times) and keys and min(keys) <= pts[0]
        if container.format.name == "avi":
            # AVI has no times, FFmpeg counts packets. It knows where MPEG-4's B-frames are shown, but leaves those of
            # H.264 and HEVC in decoding order. Behind packets that are lost it counts on, but a seek goes by the index.
            in_decoding_order = context.has_b_frames and known == sorted(known)
            usable = usable and not in_decoding_order and packets >= stream.frames
        if not usable:
            return _probe_sequential(video, limits)
        seconds = (pts - pts[0]) * float(stream.time_base or 0)
        keyframes = np.unique(np.array(keys, np.int64))
        return Timeline(len(pts), *size, seconds, pts, keyframes, promised=stream.frames)


def _probe_sequential(video: Video, limits: LimitsConfig) -> Timeline:
    """Count frames by decoding them all."""
    with opened(video, pixels=limits.pixels) as container:
        stream = video_stream(container, video)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        size = (stream.codec_context.width, stream.codec_context.height)
        promised = stream.frames
        count = sum(1 for _ in islice(decoded_frames(container, stream), limits.frames + 1))
    _check_count(video, count, limits)
    if not count:
        raise VideoError(f"{video.id}: no frame can be decoded")
    return Timeline(count, *size, np.arange(count) / rate, sequential=True, promised=promised)


def shown_seconds(times: list[float], frames: int) -> float:
    """How long `frames` frames are on screen, from the times of the first and the last."""
    return (times[-1] - times[0]) * frames / (frames - 1) if frames > 1 else 0.0
