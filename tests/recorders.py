"""Files of recorders for which FFmpeg has no muxer: Dahua's .dav, and AVI whose packets hold two pictures of MPEG-4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from tests.clips import pictures

KEYFRAME, OTHER = 0xFD, 0xFC
H264 = 4
PICTURE = b"\0\0\1\xb6"
"""What a picture of MPEG-4 begins with; then two bits of its type."""
PACKED_BY = b"\0\0\1\xb2DivX503b1393p"
"""User data of an encoder that packs; decoders look for the p."""


def encoded(codec: str, frames: int, width: int, height: int, options: dict[str, str]) -> list[bytes]:
    """Packets in the order of decoding, 25 a second."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options, context.thread_count = options, 1
    packets = []
    for t, image in enumerate(pictures(frames, width, height)):
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = t
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def write_dav(path: Path, frames: int, *, keyframes: int = 10) -> None:
    """H.264 in Dahua's frames, each of which holds a date to the second and milliseconds that go on from there."""
    options = {"g": str(keyframes), "bf": "0", "x264-params": "scenecut=0"}
    data = b""
    for number, packet in enumerate(encoded("libx264", frames, 64, 48, options)):
        key = number % keyframes == 0
        more = bytes([0x81, 0, H264, 25, 0x82, 0, 0, 0]) + _little(64, 2) + _little(48, 2) if key else b""
        seconds, milliseconds = divmod(40 * number, 1000)
        date = 24 << 26 | 11 << 22 | 24 << 17 | 22 << 12 | 15 << 6 | seconds  # 2024-11-24 22:15:…
        length = _little(24 + len(more) + len(packet) + 8, 4)
        data += b"DHAV" + bytes([KEYFRAME if key else OTHER, 0, 0, 0]) + _little(number, 4) + length + _little(date, 4)
        data += _little(milliseconds, 2) + bytes([len(more), 0]) + more + packet + b"dhav" + length
    path.write_bytes(data)


def _little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def write_packed(path: Path, frames: int, *, keyframes: int = 12) -> int:
    """MPEG-4 in AVI as DivX wrote it: a picture and the B-frame that is shown before it in one packet, and in the next
    a picture that is not coded, so that there are as many packets as pictures. Returns how many packets hold two."""
    options = {"g": str(keyframes), "bf": "1", "b_strategy": "0"}
    coded = encoded("mpeg4", frames, 64, 48, options)
    packets: list[bytes] = []
    for data in coded:
        if _kind(data) == "B":
            packets[-1] += data
            packets.append(_not_coded(data))
        else:
            packets.append(data)
    first = packets[0].index(PICTURE)
    packets[0] = packets[0][:first] + PACKED_BY + packets[0][first:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, data in enumerate(packets):
            packet = Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = _kind(data) == "I"
            container.mux(packet)
    return sum(_kind(data) == "B" for data in coded)


def _kind(data: bytes) -> str:
    return "IPBS"[data[data.index(PICTURE) + len(PICTURE)] >> 6]


def _not_coded(b_frame: bytes) -> bytes:
    """A P-picture of the time of `b_frame` that says that it is the one before: 25 a second, times have 5 bits."""
    bits = f"{int.from_bytes(b_frame[len(PICTURE) :][:4], 'big'):032b}"
    time = bits[2 : bits.index("0", 2) + 7]  # whole seconds, one bit each, 0, a mark, five bits
    text = f"01{time}10"
    return PICTURE + int(text.ljust(-len(text) % 8 + len(text), "1"), 2).to_bytes(-(-len(text) // 8), "big")
