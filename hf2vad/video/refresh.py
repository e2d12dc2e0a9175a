"""Whether an H.264 keyframe is whole: with gradual refresh it begins a picture that is built up over many frames."""

from __future__ import annotations

from collections.abc import Sequence

IDR, SEI = 5, 6
"""Types of units: a picture that nothing before it is needed for, and what is said beside pictures."""
RECOVERY_POINT = 6
"""Type of a message: after how many frames decoding from here gives right pictures."""


def refreshes_gradually(units: Sequence[bytes]) -> bool:
    """Whether the units of an H.264 keyframe's packet say that pictures are right some frames after it only."""
    if any(unit[0] & 31 == IDR for unit in units):
        return False
    return any(_recovers_later(unit[1:]) for unit in units if unit[0] & 31 == SEI)


def _recovers_later(messages: bytes) -> bool:
    """Whether a recovery point is among `messages`, other than one that holds at once: the code of 0 is a set bit."""
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
