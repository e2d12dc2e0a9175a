"""Video files as people have them, written with PyAV: times that repeat or go back, lost beginnings, fields, turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.clips import pictures

MILLISECOND = Fraction(1, 1000)
BASE = 100_000
"""Milliseconds of the first frame: decoding times have room before it."""


@dataclass(frozen=True)
class Stream:
    """An H.264 stream, and what becomes of its packets on their way into a container."""

    frames: int = 40
    b_frames: int = 0
    keyframes: int = 10
    """Frames from one to the next."""
    open_gop: bool = False
    gradual: bool = False
    """Pictures are refreshed column by column; there is one keyframe."""
    width: int = 64
    height: int = 48
    times: Callable[[list[int]], list[int]] = field(default=lambda times: times)
    """From presentation times in milliseconds, in decoding order, to those that are written."""
    first: int = 0
    """Packets at the beginning that are lost."""


def write_stream(path: Path, stream: Stream) -> None:
    """A file of 25 frames a second; the container goes by the suffix."""
    options = {"g": str(stream.keyframes), "bf": str(stream.b_frames), "threads": "1", "preset": "ultrafast"}
    refresh = f"intra-refresh=1:keyint={stream.keyframes}" if stream.gradual else ""
    options["x264-params"] = refresh or f"open-gop={int(stream.open_gop)}:scenecut=0:b-adapt=0"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        out = container.add_stream("libx264", rate=25, options=options)
        out.width, out.height, out.pix_fmt = stream.width, stream.height, "yuv420p"
        packets = []
        for image in [*pictures(stream.frames, stream.width, stream.height), None]:
            packets += out.encode(None if image is None else av.VideoFrame.from_ndarray(image, format="bgr24"))
        given = [BASE + 40 * int((packet.pts or 0) * 25 * packet.time_base) for packet in packets]
        for number, (packet, time) in enumerate(zip(packets, stream.times(given), strict=True)):
            if number < stream.first:
                continue
            packet.time_base = MILLISECOND
            packet.pts, packet.dts = time, number
            container.mux(packet)


def decoded(path: Path) -> list[av.VideoFrame]:
    """All frames of the largest stream as FFmpeg decodes them from the start."""
    frames: list[av.VideoFrame] = []
    with av.open(str(path)) as container:
        stream = max(container.streams.video, key=lambda each: each.codec_context.width)
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            if packet.size or packet.dts is None:
                try:
                    frames += stream.codec_context.decode(packet if packet.size else None)
                except av.FFmpegError:
                    continue
    return frames


def in_decoding_order(times: list[int]) -> list[int]:
    """As a container has them that knows no B-frames."""
    return sorted(times)


def doubled(*frames: int) -> Callable[[list[int]], list[int]]:
    """These packets have the time of the one before."""
    return lambda times: [times[i - 1] if i and i in frames else time for i, time in enumerate(times)]


def moved(seconds: float, frames: Sequence[int]) -> Callable[[list[int]], list[int]]:
    """The times of these packets are wrong by so much."""
    return lambda times: [time + round(1000 * seconds) * (i in frames) for i, time in enumerate(times)]


def one_after_the_other(*changes: Callable[[list[int]], list[int]]) -> Callable[[list[int]], list[int]]:
    """All of `changes`."""

    def changed(times: list[int]) -> list[int]:
        for change in changes:
            times = change(times)
        return times

    return changed


def write_fields(path: Path, frames: int) -> None:
    """A transport stream of H.264 whose packets hold one field each: pictures of plain values, 64×64, every one a
    keyframe."""
    with av.open(str(path), "w") as container:
        out = container.add_stream("libx264", rate=25)
        out.width, out.height, out.pix_fmt = 64, 64, "yuv420p"
        for number in range(frames):
            for bottom in (0, 1):
                first = not bottom and not number
                units = [*([_sps(), _pps()] if first else []), _field(number, bottom, idr=first)]
                packet = av.Packet(b"".join(b"\0\0\0\1" + unit for unit in [b"\x09\xf0", *units]))
                packet.time_base = MILLISECOND
                packet.pts = packet.dts = 1000 + 40 * number + 20 * bottom
                packet.stream, packet.is_keyframe = out, first
                container.mux(packet)


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def ue(self, *values: int) -> _Bits:
        """Unsigned Exp-Golomb codes."""
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def raw(self, bits: str) -> _Bits:
        self.text += bits
        return self

    def bytes(self) -> bytes:
        full = self.text + "0" * (-len(self.text) % 8)
        return int("1" + full, 2).to_bytes(len(full) // 8 + 1, "big")[1:]


def _sps() -> bytes:
    """Main profile, 64×64 in fields."""
    bits = _Bits().ue(0, 4, 2, 1).raw("0").ue(3, 1).raw("0" + "0" + "1" + "0" + "0" + "1")
    return b"\x67" + bytes([77, 0, 30]) + bits.bytes()


def _pps() -> bytes:
    bits = _Bits().ue(0, 0).raw("00").ue(0, 0, 0).raw("000").ue(0, 0, 0).raw("100" + "1")
    return b"\x68" + bits.bytes()


def _field(number: int, bottom: int, *, idr: bool) -> bytes:
    """Eight macroblocks of samples as they are; no byte of theirs needs to be escaped."""
    bits = _Bits().ue(0, 7, 0).raw(f"{number % 256:08b}" + "1" + str(bottom))
    bits = bits.ue(0).raw("00") if idr else bits.raw("0")
    bits.ue(0, 1)
    luma = 40 + (7 * number) % 160 + 40 * bottom
    for _ in range(8):
        bits.ue(25)
        bits.raw("0" * (-len(bits.text) % 8))
        bits.raw("".join(f"{value:08b}" for value in [luma] * 256 + [128] * 128))
    return (b"\x65" if idr else b"\x61") + bits.raw("1").bytes()


def luma(frames: Sequence[av.VideoFrame]) -> Iterator[np.ndarray]:
    """(H, W) of each."""
    return (np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in frames)
