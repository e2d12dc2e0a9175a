"""Detection of a moved camera: compares the present background with the video's own a moment earlier."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from hf2vad.schema import F32, THUMBNAIL_SHAPE, U8

WINDOW = 7
"""Thumbnails on each side, odd: their median is the background, without whoever walks through. 56 frames."""
FINE = 2.0
"""Deviation of the blur, in cells, that is taken off so that light and large areas do not count."""
SAME = 0.3
"""Correlation of two backgrounds' fine structure at and below which they show different places."""
MATCH = 0.5
"""Correlation from which a shift that is undone may explain the difference."""
BETTER = 0.8
"""Share of the disagreement that may remain when the shift is undone."""
BLOCKS = (3, 4)
"""Rows and columns of blocks that vote: a large object moves some of them, a camera all that have structure."""
TEXTURE = 1.0
"""Deviation of a block's fine structure, in grey levels, from which it votes."""
DECIDED = 0.05
"""Difference of the correlations that makes a block vote, for or against the shift."""
JERK = 0.7
"""Share of the largest shift that the smallest has when the camera moved all at once."""


@dataclass(frozen=True)
class Move:
    """The camera moved within frames `start` … `stop` (exclusive)."""

    start: int
    stop: int
    shift: tuple[float, float] | None
    """Shift of the picture's content as shares of its width and height. None if it shows another place."""


@dataclass
class _Moving:
    """A move while backgrounds before and after it differ."""

    first: list[int]
    """Frames of the thumbnails at its first moment, the middle of them being that moment."""
    last: list[int]
    moments: int = 0
    shift: tuple[float, float] | None = None
    """The largest that explains the difference."""
    sizes: tuple[float, float] = (np.inf, 0.0)
    """Smallest and largest size of the shift."""


class MoveFinder:
    """Takes the thumbnails of a video in order and tells its moves; holds 14 thumbnails.

    A jerk is known to the frames between two thumbnails, a slow pan to a few thumbnails. The first and last 56 frames,
    and what drifts by less than `share` in 56 frames, are not seen.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._seen: deque[tuple[int, U8]] = deque(maxlen=2 * WINDOW)
        self._moving: _Moving | None = None

    def see(self, frame: int, thumbnail: U8) -> Iterator[Move]:
        """Take a thumbnail (48, 64); yields the move that has come to its end."""
        self._seen.append((frame, thumbnail))
        if len(self._seen) < 2 * WINDOW:
            return
        stack = np.array([picture for _, picture in self._seen], np.float32)
        shift, explained, same = _difference(np.median(stack[:WINDOW], 0), np.median(stack[WINDOW:], 0))
        far = _size(shift) >= self._share
        if not (far and (explained or self._moving)) and same:
            yield from self.end()
            return
        numbers = [number for number, _ in self._seen]
        moving = self._moving = self._moving or _Moving(numbers, numbers)
        moving.last, moving.moments = numbers, moving.moments + 1
        if explained and (moving.shift is None or _size(shift) > _size(moving.shift)):
            moving.shift = shift
        moving.sizes = min(moving.sizes[0], _size(shift)), max(moving.sizes[1], _size(shift))

    def end(self) -> Iterator[Move]:
        """The move that is under way when thumbnails end."""
        moving, self._moving = self._moving, None
        if moving is None:
            return
        # Medians tell a jerk from when it is in the middle of the later window until it is in that of the earlier one,
        # and all that time by the same shift. A pan is told late, and by a shift that grows.
        jerk = moving.moments <= WINDOW + 1 and (moving.shift is None or moving.sizes[0] >= JERK * moving.sizes[1])
        half = WINDOW // 2 if jerk else 0
        first, last = WINDOW + half, WINDOW - half
        start = min(moving.first[first - 1], moving.last[last - 1]) + 1
        yield Move(start, max(moving.first[first], moving.last[last]) + 1, moving.shift)


def _size(shift: tuple[float, float]) -> float:
    return max(map(abs, shift))


def _difference(before: F32, after: F32) -> tuple[tuple[float, float], bool, bool]:
    """The shift between two backgrounds in shares of the picture, whether it explains how they differ, and whether they
    show the same place."""
    rows, columns = THUMBNAIL_SHAPE
    before, after = before.astype(np.float32), after.astype(np.float32)
    (dx, dy), _ = cv2.phaseCorrelate(before, after, cv2.createHanningWindow((columns, rows), cv2.CV_32F))
    one, other = _fine(before), _fine(after)
    same = _correlation(one, other) > SAME
    shift = dx / columns, dy / rows
    if _size(shift) >= 0.5:
        return shift, False, same
    undone = cv2.warpAffine(other, np.array([[1, 0, -dx], [0, 1, -dy]], np.float32), (columns, rows))
    inside = np.s_[
        max(0, -int(np.floor(dy))) : rows - max(0, int(np.ceil(dy))),
        max(0, -int(np.floor(dx))) : columns - max(0, int(np.ceil(dx))),
    ]
    one, undone, other = one[inside], np.asarray(undone, np.float32)[inside], other[inside]
    match = _correlation(one, undone)
    better = match >= MATCH and 1 - match <= BETTER * (1 - _correlation(one, other))
    return shift, better and _agreed(one, other, undone), same


def _agreed(one: F32, other: F32, undone: F32) -> bool:
    """True if at least two thirds of the blocks that can tell agree that the shift explains the difference."""
    votes = [
        _correlation(one[part], undone[part]) - _correlation(one[part], other[part])
        for part in _blocks(one.shape)
        if one[part].std() >= TEXTURE
    ]
    agree, against = sum(vote > DECIDED for vote in votes), sum(vote < -DECIDED for vote in votes)
    return agree >= max(2, 2 * against)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    edges = [np.linspace(0, length, count + 1).astype(int) for length, count in zip(shape, BLOCKS, strict=True)]
    for y in range(BLOCKS[0]):
        for x in range(BLOCKS[1]):
            yield slice(edges[0][y], edges[0][y + 1]), slice(edges[1][x], edges[1][x + 1])


def _fine(picture: F32) -> F32:
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), FINE), np.float32)


def _correlation(one: F32, other: F32) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 1.0
