"""Video containers through PyAV: opened from a file object, so that a name or a playlist never opens anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias, cast

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hf2vad.archive.catalog import Video
from hf2vad.errors import AccessDeniedError, VideoDeniedError, VideoError
from hf2vad.storage import open_read

av.logging.set_level(av.logging.PANIC)

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,live_flv,asf,ogg,dhav"
"""Demuxers that may read an archive; a playlist in a file named .mp4 must not make us fetch what it names."""
STREAMS = "h264,hevc,mpegvideo,m4v,mjpeg"
"""Formats of elementary streams, which have no container."""
FORMATS = f"{CONTAINERS},{STREAMS}"

PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""Kinds of video streams that are pictures of another stream: a cover, thumbnails."""

Numbered: TypeAlias = "tuple[int, Packet[VideoStream]]"
"""A packet of the stream and its number in the file, from 0: what a picture is known by, whatever its time says."""


@contextlib.contextmanager
def opened(video: Video, *, pixels: int) -> Iterator[InputContainer]:
    """The container of a video file, whose frames are not decoded when they have more `pixels` than that.

    Raises VideoError when it is none, VideoDeniedError when storage refuses to read it.
    """
    with readable_by_us(video.id), open_read(video.uri) as file:
        try:
            options = {"format_whitelist": FORMATS, "max_pixels": str(pixels)}
            container = av.open(file, mode="r", options=options, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:  # OSError: a seek to before the start of a tiny file
            raise VideoError(f"{video.id}: {_unreadable(video, error)}") from None
        with container:
            yield container


def _unreadable(video: Video, error: Exception) -> str:
    if video.size == 0:
        return "empty file"
    return f"not a readable video: {getattr(error, 'strerror', None) or error}"


@contextlib.contextmanager
def readable_by_us(video_id: str) -> Iterator[None]:
    """Raise VideoDeniedError where the block is denied a file of this video: the rest of an archive may be readable."""
    try:
        yield
    except AccessDeniedError as error:
        raise VideoDeniedError(f"{video_id}: {error}") from None


def video_stream(container: InputContainer, video: Video) -> VideoStream:
    """The video stream with the largest frames, the first of equals; cover pictures and thumbnails are none.

    Raises VideoError when there is none that can be decoded.
    """
    streams = video_streams(container)
    if not streams:
        covers = any(stream.disposition & PICTURES for stream in container.streams.video)
        raise VideoError(
            f"{video.id}: no video stream that can be decoded{' but a cover picture' if covers else ''}"
            f"{_unknown_codecs(container)}"
        )
    stream = max(streams, key=lambda stream: stream.codec_context.width * stream.codec_context.height)
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": container.options["max_pixels"]}
    return stream


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The streams that `video_stream` chooses among."""
    return [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & PICTURES
    ]


def _unknown_codecs(container: InputContainer) -> str:
    unknown = any(stream.type == "video" and stream.codec_context is None for stream in container.streams)
    return "; FFmpeg has no decoder for its codec, convert it: ffmpeg -i IN -c:v libx264 OUT.mkv" if unknown else ""


def decode_packets(packets: Iterable[Packet[VideoStream]], stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames of `packets`; a damaged packet, or the end of a truncated file, costs its frames alone."""
    with contextlib.suppress(av.FFmpegError):
        for packet in packets:
            if is_end(packet):
                break
            if packet.size:  # else a frame that was dropped when recording, which a decoder would take for the end
                with contextlib.suppress(av.FFmpegError):
                    yield from stream.codec_context.decode(packet)
    with contextlib.suppress(av.FFmpegError):
        yield from stream.codec_context.decode(None)


def numbered_packets(container: InputContainer, stream: VideoStream) -> Iterator[Numbered]:
    """The packets of a stream that was not read from yet."""
    return enumerate(container.demux(stream))


def numbered_frames(packets: Iterable[Numbered], stream: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of `packets`, each with the number of the packet that it is in, in the decoder's order.

    Of two packets that hold a field each, a frame has the first one's number.
    """
    stream.codec_context.copy_opaque = True
    return ((cast(list[int], frame.opaque)[0], frame) for frame in decode_packets(_marked(packets), stream))


def _marked(packets: Iterable[Numbered]) -> Iterator[Packet[VideoStream]]:
    for number, packet in packets:
        packet.opaque = [number]  # PyAV knows it by its address: an object of its own for each packet
        yield packet


def is_end(packet: Packet[VideoStream]) -> bool:
    """True if a packet marks the end of the file."""
    return packet.pts is None and packet.dts is None and not packet.size
