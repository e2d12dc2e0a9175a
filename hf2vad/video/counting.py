"""A video file's pictures, counted by decoding them all: for files whose packets do not say which pictures there are.

The pass notes where decoding can start afresh: a keyframe, known by its place in the file. It is believed only when it
was seen to give the same pictures, so decoding from there is exact, whatever the codec's keyframes promise.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hf2vad.archive.catalog import Video
from hf2vad.video.container import Numbered, numbered_frames, numbered_packets, opened, video_stream

APART = 250
"""Frames between places that decoding can start from, at least."""
READ_TO = 40
"""Places that are looked for where the file has to be read up to each of them, at most."""
SEEN = 24
"""Pictures that must be the same when decoding starts afresh."""


Reach = Literal["read", "time", "byte"]


class Restart(NamedTuple):
    """A packet that decoding can start from."""

    frame: int
    """The first frame that is right then, and all after it."""
    packet: int
    """Packet number in the stream, from 0."""
    skip: int = 0
    """Frames that a decoder gives before that one."""
    position: int = 0
    """Position of its first byte in the file."""
    time: int = 0
    """Decoding time, or else presentation time, in the stream's time base."""
    reach: Reach = "read"
    """Way to reach it: by reading the file up to it, or by a seek to its time or its first byte."""


BEGINNING = Restart(0, 0)


@dataclass
class Counted:
    """Result of one pass over a file."""

    packets: npt.NDArray[np.int64]
    """(frames,): number of the packet of each frame, in the order in which a decoder gives them."""
    times: npt.NDArray[np.float64]
    """(frames,): their own times in units of the stream's time base; NaN where they have none."""
    restarts: tuple[Restart, ...]
    read: int
    """Packets in the file."""
    first: VideoFrame | None
    """The first frame."""
    interlaced: bool
    """True if any frame is interlaced."""
    rate: float | None
    """Frames a second that the stream itself says, where it does."""


def count_frames(video: Video, *, pixels: int, most: int) -> Counted:
    """Decode all of `video`, but no more than `most` + 1 frames of at most `pixels`."""
    found = _Pass()
    with opened(video, pixels=pixels) as container:
        stream = video_stream(container, video)
        for number, frame in islice(numbered_frames(found.noted(container, stream), stream), most + 1):
            found.see(number, frame)
        rate = stream.codec_context.framerate
    packets = np.array(found.packets, np.int64)
    restarts = _Search(video, pixels, packets, np.array(found.signatures, np.uint32)).among(found.keyframes)
    return Counted(
        packets,
        np.array(found.times, np.float64),
        tuple(restarts),
        found.read,
        found.first,
        found.interlaced,
        float(rate) if rate else None,
    )


@dataclass
class _Pass:
    packets: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    signatures: array[int] = field(default_factory=lambda: array("L"))
    keyframes: list[Restart] = field(default_factory=list)
    read: int = 0
    first: VideoFrame | None = None
    interlaced: bool = False

    def noted(self, container: InputContainer, stream: VideoStream) -> Iterator[Numbered]:
        for number, packet in numbered_packets(container, stream):
            self.read = number + (packet.dts is not None or packet.size > 0)
            if number and packet.is_keyframe and packet.pos is not None:
                self.keyframes.append(Restart(0, number, 0, packet.pos, _time(packet)))
            yield number, packet

    def see(self, number: int, frame: VideoFrame) -> None:
        self.first = self.first or frame
        self.interlaced = self.interlaced or frame.interlaced_frame
        self.packets.append(number)
        self.times.append(np.nan if frame.pts is None else frame.pts)
        self.signatures.append(_signature(frame))


def _time(packet: Packet[VideoStream]) -> int:
    times = [time for time in (packet.dts, packet.pts) if time is not None]
    return times[0] if times else 0


def _signature(frame: VideoFrame) -> int:
    """Hash of the first bytes of each row of the first plane, one per pixel: usually all of its luma."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    return zlib.crc32(rows[: frame.height, : frame.width].tobytes(), frame.is_corrupt)


class _Search:
    """Tries keyframes as places to start from, as shards will: the file opened anew, and the packet sought."""

    def __init__(
        self, video: Video, pixels: int, packets: npt.NDArray[np.int64], signatures: npt.NDArray[np.uint32]
    ) -> None:
        self._video, self._pixels = video, pixels
        self._packets, self._signatures = packets, signatures

    def among(self, keyframes: Sequence[Restart]) -> Iterator[Restart]:
        """Keyframes among `keyframes` that reproduce the same pictures, spaced apart."""
        reaches: tuple[Reach, ...] = ("time", "byte", "read")
        apart, least = APART, APART
        for keyframe in keyframes:
            if keyframe.packet < least:
                continue
            least = keyframe.packet + apart
            restart = next(filter(None, (self._tried(keyframe._replace(reach=reach)) for reach in reaches)), None)
            if restart is not None:
                reaches = (restart.reach,)
                yield restart
            if restart is None or restart.reach == "read":
                apart = max(APART, len(self._packets) // READ_TO)

    def _tried(self, restart: Restart) -> Restart | None:
        """`restart` with its first right frame; none where it does not give the same pictures."""
        with opened(self._video, pixels=self._pixels) as container:
            stream = video_stream(container, self._video)
            packets = sought_packets(container, stream, restart)
            if packets is None:
                return None
            given = [(number, _signature(frame)) for number, frame in islice(numbered_frames(packets, stream), SEEN)]
        for skip in range(len(given)):
            start = np.flatnonzero(self._packets == given[skip][0])
            if not len(start):
                continue
            rest, first = given[skip:], int(start[0])
            if first + len(rest) < len(self._packets) and len(rest) < SEEN // 2:
                return None
            expected = zip(self._packets[first:].tolist(), self._signatures[first:].tolist(), strict=False)
            if list(islice(expected, len(rest))) == rest:
                return restart._replace(frame=first, skip=skip)
        return None


def sought_packets(container: InputContainer, stream: VideoStream, restart: Restart) -> Iterator[Numbered] | None:
    """The packets from that of `restart` on, with their numbers; none where a seek does not lead to it."""
    if restart.reach == "read" or restart.packet == 0:
        return islice(numbered_packets(container, stream), restart.packet, None)
    try:
        if restart.reach == "time":
            container.seek(restart.time, stream=stream)
        else:
            container.seek(restart.position, unsupported_byte_offset=True)
        return _from(container, stream, restart)
    except av.FFmpegError:
        return None


def _from(container: InputContainer, stream: VideoStream, restart: Restart) -> Iterator[Numbered] | None:
    packets = container.demux(stream)
    for packet in packets:
        if packet.pos is not None and packet.pos > restart.position:
            return None
        if packet.pos == restart.position and packet.is_keyframe:
            return _numbered(packet, packets, restart.packet)
    return None


def _numbered(first: Packet[VideoStream], rest: Iterator[Packet[VideoStream]], number: int) -> Iterator[Numbered]:
    yield number, first
    yield from enumerate(rest, number + 1)
