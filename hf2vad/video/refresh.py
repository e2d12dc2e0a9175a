"""Detection of gradual refresh in H.264: such a keyframe starts a picture that many frames build up."""

from __future__ import annotations

from collections.abc import Sequence

IDR, SEI = 5, 6
"""Types of units: a picture that nothing before it is needed for, and what is said beside pictures."""
RECOVERY_POINT = 6
"""Type of a message: after how many frames decoding from here gives right pictures."""


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
