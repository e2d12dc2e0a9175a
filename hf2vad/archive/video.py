"""The frames of a shard, decoded exactly and once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from hf2vad.archive.container import decode_packets, opened, video_stream
from hf2vad.archive.images import decode_image, image_size, scaled_down
from hf2vad.archive.shards import Shard
from hf2vad.archive.timeline import DEFAULT_LIMITS
from hf2vad.errors import VideoError
from hf2vad.profile import span
from hf2vad.schema import U8
from hf2vad.storage import join, read_bytes

EDGE = 64
"""Pixels that a codec's largest blocks may add to a frame's width and height."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    index: int
    """Its number in the video, from 0."""
    pts_s: float
    """Presentation time, seconds from the video's first frame."""
    image: U8 | None
    """(H, W, 3) BGR, rotation tags ignored; none when it cannot be decoded."""


def decode(shard: Shard, size: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Every frame from `shard.first` to `shard.last`, once, in order; the same pixels whatever the shard.

    A video file is decoded from the keyframe before the shard, and frames are told by their timestamps. Images are as
    coded, or scaled down to `size` (width, height) by averaging areas. Raises VideoError when a frame has another size
    than the video.
    """
    size = size or (shard.width, shard.height)
    if shard.names:
        yield from _decode_images(shard, size)
    elif shard.pts is None:
        yield from _decode_counting(shard, Converter(shard, size))
    else:
        yield from _decode_timed(shard, Converter(shard, size))


def _decode_images(shard: Shard, size: tuple[int, int]) -> Iterator[Frame]:
    for i, name in enumerate(shard.names):
        data = read_bytes(join(shard.video.uri, name))
        coded = image_size(data)
        image = None
        if coded is not None and coded[0] * coded[1] <= _room(shard):
            image = decode_image(data, coded)
        if image is not None:
            _check_size(shard, image.shape[1], image.shape[0], f"image {name!r}")
            image = scaled_down(image, size)
        yield Frame(shard.first + i, float(shard.pts_s[i]), image)


def _decode_timed(shard: Shard, convert: Converter) -> Iterator[Frame]:
    assert shard.pts is not None
    wanted = [int(time) for time in shard.pts]
    i = 0
    with opened(shard.video, pixels=_room(shard)) as container:
        stream = video_stream(container, shard.video)
        for time, frame in _timed_frames(container, stream, shard.seek_pts, wanted[0]):
            while i < len(wanted) and wanted[i] < time:
                yield Frame(shard.first + i, float(shard.pts_s[i]), None)
                i += 1
            if i < len(wanted) and wanted[i] == time:
                yield Frame(shard.first + i, float(shard.pts_s[i]), convert(frame, shard.first + i))
                i += 1
            if i == len(wanted):
                return
    for rest in range(i, len(wanted)):
        yield Frame(shard.first + rest, float(shard.pts_s[rest]), None)


def _timed_frames(
    container: InputContainer, stream: VideoStream, seek_pts: tuple[int, ...], first: int
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames from time `first` on, decoded from the first of `seek_pts`, or from the next when that does not give it.

    A stream with gradual refresh has no keyframe that is whole: its picture is built up until the next.
    """
    frames: Iterator[tuple[int, VideoFrame]] = iter(())
    start = None
    for pts in seek_pts:
        decoded = decode_packets(_packets_from_keyframe(container, stream, pts), stream)
        frames = ((frame.pts, frame) for frame in decoded if frame.pts is not None and frame.pts >= first)
        start = next(frames, None)
        if start is not None and start[0] == first:
            break
    if start is not None:
        yield start
        yield from frames


def _packets_from_keyframe(container: InputContainer, stream: VideoStream, pts: int) -> Iterator[Packet[VideoStream]]:
    """Packets from the keyframe with time `pts` on.

    Where a seek lands depends on the container's index, so what it gives before that very packet is dropped, and when
    it has gone too far, packets are read from the start of the file.
    """
    container.seek(pts, stream=stream, backward=True)
    started = False
    for packet in container.demux(stream):
        if not started and packet.is_keyframe and packet.pts == pts:
            started = True
        if not started and packet.is_keyframe and packet.pts is not None and packet.pts > pts:
            break
        if started:
            yield packet
    if started:
        return
    container.seek(0, backward=True)
    for packet in container.demux(stream):
        started = started or (packet.is_keyframe and packet.pts == pts)
        if started:
            yield packet


def _decode_counting(shard: Shard, convert: Converter) -> Iterator[Frame]:
    """Frames by their number, from the start of the file."""
    index = 0
    with opened(shard.video, pixels=_room(shard)) as container:
        stream = video_stream(container, shard.video)
        for index, frame in enumerate(decode_packets(container.demux(stream), stream)):
            if index >= shard.last:
                return
            if index >= shard.first:
                yield Frame(index, float(shard.pts_s[index - shard.first]), convert(frame, index))
    for rest in range(max(index + 1, shard.first), shard.last):
        yield Frame(rest, float(shard.pts_s[rest - shard.first]), None)


class Converter:
    """Decoded frames as BGR arrays of one size.

    Where they are scaled, FFmpeg does it before it converts colours: a large picture in colour is never made.
    """

    def __init__(self, shard: Shard, size: tuple[int, int]) -> None:
        self._shard = shard
        self._width, self._height = size
        # A frame that keeps its size is converted as it always was: the default, which interpolates nothing.
        self._how = None if size == (shard.width, shard.height) else Interpolation.AREA
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, index: int) -> U8 | None:
        if frame.is_corrupt:
            return None
        _check_size(self._shard, frame.width, frame.height, f"frame {index}")
        with span("convert"):
            image = self._reformatter.reformat(
                frame, width=self._width, height=self._height, format="bgr24", interpolation=self._how, threads=1
            )
            return cast(U8, image.to_ndarray())


def _room(shard: Shard) -> int:
    """Pixels that may be decoded as one frame: those of the video, which has passed its limits, and what a decoder adds
    at the edges. No fewer than the usual limit, so that an odd frame is an error that says so; no more, whatever a
    damaged header asks for."""
    return max((shard.width + EDGE) * (shard.height + EDGE), DEFAULT_LIMITS.pixels)


def _check_size(shard: Shard, width: int, height: int, what: str) -> None:
    if (width, height) != (shard.width, shard.height):
        raise VideoError(f"{shard.video.id}: {what} is {width}×{height}, the video {shard.width}×{shard.height}")
