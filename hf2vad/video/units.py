"""The units of H.264 and HEVC packets: slices of a picture, and what is said of it before them.

Gradual refresh is told from them: such a keyframe starts a picture that many frames build up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

IS_SLICE: Mapping[str, Callable[[int], bool]] = {
    "h264": lambda header: header & 31 in (1, 2, 5),
    "hevc": lambda header: header >> 1 & 63 < 32,
}
"""Test by codec for a slice of a picture, by the first byte of a unit."""
LENGTH_AT = {"h264": 4, "hevc": 21}
"""Position by codec of the byte whose last two bits give a unit's length field size, less one."""
SLICE_BYTES = 256
"""Bytes of a slice that hold its header."""
START = b"\0\0\1"
IDR, SEI = 5, 6
"""Types of units: a picture that nothing before it is needed for, and what is said beside pictures."""
RECOVERY_POINT = 6
"""Type of a message: after how many frames decoding from here gives right pictures."""


def length_bytes(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each unit; 0 for a stream whose units begin with a start code."""
    place = LENGTH_AT[codec]
    if not extradata or extradata[0] != 1 or len(extradata) <= place:
        return 0
    return (extradata[place] & 3) + 1


def units(data: bytes, length: int) -> Iterator[bytes]:
    """The units of a packet, whose lengths have `length` bytes."""
    if not length or (length == 4 and data.startswith(b"\0" + START)):  # as FFmpeg, whatever the container says
        yield from _after_start_codes(data)
        return
    place = 0
    while place + length < len(data):
        size = int.from_bytes(data[place : place + length], "big")
        if unit := data[place + length : place + length + size]:
            yield unit
        place += length + size


def _after_start_codes(data: bytes) -> Iterator[bytes]:
    start = data.find(START)
    while start >= 0:
        end = data.find(START, start + len(START))
        if unit := data[start + len(START) : end if end >= 0 else len(data)]:
            yield unit
        start = end


def picture_header(data: bytes, codec: str, length: int) -> bytes | None:
    """A packet's units up to the first slice, of which only the beginning is there; none where there is no slice.

    A decoder makes a frame of it that has all of the picture's properties, and takes no time for its samples.
    """
    header = b""
    for unit in units(data, length):
        is_slice = IS_SLICE[codec](unit[0])
        kept = unit[:SLICE_BYTES] if is_slice else unit
        header += (len(kept).to_bytes(length, "big") if length else START) + kept
        if is_slice:
            return header
    return None


def refreshes_gradually(units: Sequence[bytes]) -> bool:
    """True if the units of an H.264 keyframe's packet announce correct pictures only some frames later."""
    if any(unit[0] & 31 == IDR for unit in units):
        return False
    return any(_recovers_later(unit[1:]) for unit in units if unit[0] & 31 == SEI)


def _recovers_later(messages: bytes) -> bool:
    """True if `messages` contain a recovery point other than an immediate one (whose code of 0 is one set bit)."""
    place = 0
    while place + 2 < len(messages):
        kind, place = _summed(messages, place)
        size, place = _summed(messages, place)
        if kind == RECOVERY_POINT and place < len(messages):
            return not messages[place] & 0x80
        place += size
    return False


def _summed(messages: bytes, place: int) -> tuple[int, int]:
    """A number that goes on as long as its bytes are 255, and the place after it."""
    total = 0
    while place < len(messages):
        total, place = total + messages[place], place + 1
        if messages[place - 1] != 255:
            break
    return total, place
