"""Video containers through PyAV: opened from a file object, so that a name or a playlist never opens anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hf2vad.archive.catalog import Video
from hf2vad.errors import VideoError
from hf2vad.storage import open_read

av.logging.set_level(av.logging.PANIC)

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
"""Demuxers that may read an archive; a playlist in a file named .mp4 must not make us fetch what it names."""


@contextlib.contextmanager
def opened(video: Video, *, pixels: int) -> Iterator[InputContainer]:
    """The container of a video file, whose frames are not decoded when they have more `pixels` than that.

    Raises VideoError when it is none.
    """
    options = {"format_whitelist": FORMATS, "max_pixels": str(pixels)}
    with open_read(video.uri) as file:
        try:
            container = av.open(file, mode="r", options=options, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:  # OSError: a seek to before the start of a tiny file
            reason = getattr(error, "strerror", None) or error
            what = "empty file" if video.size == 0 else f"not a readable video: {reason}"
            raise VideoError(f"{video.id}: {what}") from None
        with container:
            yield container


def video_stream(container: InputContainer, video: Video) -> VideoStream:
    """The first video stream that can be decoded. Raises VideoError when there is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": container.options["max_pixels"]}
            return stream
    raise VideoError(f"{video.id}: no video stream that can be decoded")


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames from where the container stands, in presentation order; what cannot be decoded is left out."""
    return decode_packets(container.demux(stream), stream)


def decode_packets(packets: Iterable[Packet[VideoStream]], stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames of `packets`; a damaged packet, or the end of a truncated file, costs its frames alone."""
    with contextlib.suppress(av.FFmpegError):
        for packet in packets:
            if packet.pts is None and packet.dts is None and not packet.size:
                break
            with contextlib.suppress(av.FFmpegError):
                yield from stream.codec_context.decode(packet)
    with contextlib.suppress(av.FFmpegError):
        yield from stream.codec_context.decode(None)
