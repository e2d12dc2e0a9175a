"""Packet data of a video file, read without decoding."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hf2vad.archive.catalog import Video
from hf2vad.errors import VideoError
from hf2vad.video.times import NEAR
from hf2vad.video.units import IS_SLICE, length_bytes, picture_header, refreshes_gradually, units

FIRST_PACKETS = 32
"""Packets of a file that are decoded to learn what its pictures are like."""

PROGRESSIVE = 1
"""FFmpeg's number for this order of fields; it is 0 where that is unknown, and larger for the interlaced ones."""
FIELDS = ("h264", "vc1")
"""Codecs whose packets may hold one field of a picture each."""
ADDED_UP = ("dhav",)
"""Containers whose times FFmpeg adds up from where it begins to read: after a seek, a packet has another time."""


@dataclass
class Packets:
    """Times and keyframe flags of the packets of a file."""

    times: list[int | None] = field(default_factory=list)
    """Presentation times of packets that are to be shown."""
    keys: list[int] = field(default_factory=list)
    """Packets of keyframes."""
    gradual: bool = False
    """True if a keyframe starts a picture that later frames complete (gradual refresh)."""
    all: int = 0
    """Packets, those too that are not to be shown."""
    first: VideoFrame | None = None
    """The first frame that its first packets give: its properties, not its samples."""


def read_packets(video: Video, container: InputContainer, stream: VideoStream, *, most: int) -> Packets:
    """Read all packets of a stream, or `most` and one more, and decode the first few.

    Raises VideoError when there is none.
    """
    packets, context = Packets(), stream.codec_context
    length = length_bytes(context.name, context.extradata) if context.name in IS_SLICE else 0
    # What is missing of a picture whose header alone is decoded would be made up, at the price of decoding it.
    context.options = {**context.options, "ec": "0"}
    try:
        for packet in container.demux(stream):
            packets.all += packet.dts is not None or packet.size > 0
            # Packets without bytes stand for frames that were dropped when recording: a decoder gives nothing for them.
            if not packet.size:
                continue
            if packets.first is None and len(packets.times) < FIRST_PACKETS:
                packets.first = _alone(packet, context, length)
            if packet.is_discard:
                continue
            packets.times.append(packet.pts)
            if len(packets.times) > most:
                return packets
            if packet.is_keyframe and packet.pts is not None:
                packets.keys.append(packet.pts)
                if context.name == "h264" and not packets.gradual:
                    packets.gradual = refreshes_gradually(list(units(bytes(packet), length)))
    except av.FFmpegError as error:
        if not packets.times:
            raise VideoError(f"{video.id}: no packet can be read: {error.strerror}") from None
    if not packets.times:
        raise VideoError(f"{video.id}: its video stream has no frame")
    return packets


def _alone(packet: Packet[VideoStream], context: VideoCodecContext, length: int) -> VideoFrame | None:
    """The frame of a packet, decoded without those after it that a decoder may wait for; none where it needs others.

    Of H.264 and HEVC the header is enough: all of a large keyframe takes as long as opening its file.
    """
    header = picture_header(bytes(packet), context.name, length) if context.name in IS_SLICE else None
    tries: list[Packet[Any]] = [*([Packet(header)] if header else []), packet]
    return next((frame for each in tries for frame in _decoded(each, context)), None)


def _decoded(packet: Packet[Any], context: VideoCodecContext) -> list[VideoFrame]:
    frames = list[VideoFrame]()
    with contextlib.suppress(av.FFmpegError):
        frames = [*context.decode(packet), *context.decode(None)]
    context.flush_buffers()
    return frames


def in_order(packets: Packets, container: InputContainer, stream: VideoStream) -> npt.NDArray[np.int64] | None:
    """The frames' times in the order in which a decoder gives them; none where packets do not prove it."""
    if None in packets.times or not packets.keys or packets.gradual:
        return None
    given = np.array(packets.times, np.int64)
    order = np.argsort(given, kind="stable")
    pts = given[order]
    steps = np.diff(pts)
    if not steps.all() or packets.keys[0] != given[0] or min(packets.keys) > pts[0]:
        return None
    context, name = stream.codec_context, container.format.name
    if name in ADDED_UP:
        return None
    if context.field_order > PROGRESSIVE and context.name in FIELDS:
        return None
    if name == "avi" and packets.all < stream.frames:  # behind packets that are lost FFmpeg counts on, a seek does not
        return None
    moved = np.abs(order - np.arange(len(order)))
    if not context.has_b_frames:
        return None if moved.any() else pts
    # Times that ascend as they are stored are those of decoding, or else no picture is a B-frame after all. Evenly
    # spaced ones leave no room for a wrong one, nor for a pause between pictures that are shown in another order.
    return pts if 0 < moved.max() <= NEAR and _are_even(steps) else None


def _are_even(steps: npt.NDArray[np.int64]) -> bool:
    """True if no step between ascending times differs from the usual one by half a step or more."""
    return bool((np.abs(steps / np.median(steps) - 1) < 0.5).all())
