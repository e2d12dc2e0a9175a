"""A clock burnt into the picture: its seconds change once a second, all at once, and nothing changes there between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from hf2vad.schema import F32, F64, U8
from hf2vad.video.steady import widened

CHANGE = 40
"""Levels from one frame to the next, from which on a pixel has changed."""
FIRST = 2
"""Frames from a second's beginning in which digits change: encoders take a frame to draw them sharp."""
RATE = 6.0
"""Frames a second below which the first of a second are too many of all."""
AT_ONCE = 0.9
"""Share of a second's changes that must fall into its first frames."""
SECONDS = 7
"""Seconds, of those that are looked at, in which that must be so: somebody may walk by in some."""
PIXELS = 0.1
"""Share of a square's pixels that change with a digit, at least."""
SQUARE = 1 / 40
"""Side of the squares in which changes are counted, as a share of the picture's longer side: about a digit."""
GRID = 4
"""Squares lie a quarter of their side apart."""
EDGE = 0.5
"""An edge of text, as a share of the steepest ones of the seconds."""
GAP = 2.0
"""Heights of a line, the widest gap between its words."""
LONGEST = 14.0
"""Heights of a line by which it goes on to either side of the seconds, at most."""

MARGIN = 2
"""Pixels around a line that are taken to be its own: text has an outline, and encoders blur it."""

Mask = npt.NDArray[np.bool_]


def seconds_of_clock(pictures: Sequence[U8], times: F64) -> U8 | None:
    """(H, W): 255 on digits that change once a second; None where there are none.

    `pictures`: (H, W) grey, one after the other, at the ascending `times` in seconds. A second ticks in a square of
    the picture if pixels change there in its first frames and hardly any in its others. Whoever walks by changes
    pixels in all frames; a lamp that flashes once a second is taken for a clock. Of fewer than `RATE` pictures a
    second, and in pictures that are too small for digits, nothing is told.
    """
    if len(pictures) < SECONDS * RATE or (step := float(np.median(np.diff(times)))) > 1 / RATE:
        return None
    side = round(SQUARE * max(pictures[0].shape))
    if side < GRID:
        return None
    changes = np.stack([_changed(before, after, side) for before, after in pairwise(pictures)])
    ticking = np.count_nonzero(changes >= PIXELS / FIRST, axis=0) >= SECONDS
    if not ticking.any():
        return None
    changes, ticks = changes[:, ticking], np.zeros(np.count_nonzero(ticking), np.int64)
    for begin in np.arange(times[1], times[1] + 1 - step / 2, step):
        seconds, frames = np.divmod((times[1:] - begin) / step + 0.25, 1 / step)
        ticks = np.maximum(ticks, _ticks(changes, seconds, frames < FIRST))
    ticking[ticking] = ticks >= SECONDS
    if not ticking.any():
        return None
    height, width = pictures[0].shape
    found = cv2.resize(ticking.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(found, np.uint8)


def _changed(before: U8, after: U8, side: int) -> F32:
    """Share of the pixels that changed, in squares that lie a quarter of their side apart."""
    _, changed = cv2.threshold(cv2.absdiff(before, after), CHANGE - 1, 255, cv2.THRESH_BINARY)
    return cv2.blur(changed, (side, side))[:: side // GRID, :: side // GRID] / np.float32(255)


def _ticks(changes: F32, seconds: F64, first: Mask) -> npt.NDArray[np.int64]:
    """How many seconds tick in each square, from (frames, squares) changes. `seconds`, `first`: of each frame its
    second, and if it is one of the second's first."""
    ticks = np.zeros(changes.shape[1], np.int64)
    for second in np.unique(seconds):
        at_once = changes[(seconds == second) & first].sum(axis=0)
        ticks += (at_once >= PIXELS) & (at_once >= AT_ONCE * changes[seconds == second].sum(axis=0))
    return ticks


def line_of(seconds: U8, picture: U8) -> U8:
    """(H, W): 255 on the whole lines of text that hold the `seconds` of clocks, as `seconds_of_clock` finds them: other
    digits change with the minute or the hour. `picture`: (H, W) grey, the background."""
    line = seconds.copy()
    steep = np.abs(np.asarray(cv2.Sobel(picture, cv2.CV_32F, 1, 0), np.float32), dtype=np.float32)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(seconds)
    for left, top, width, height, _ in boxes[1:].tolist():
        rows, digits = slice(top, top + height), slice(left, left + width)
        text = steep[rows].max(axis=0) >= EDGE * np.percentile(steep[rows, digits].max(axis=0), 75)
        reach = round(LONGEST * height)
        before = _along(text[max(0, left - reach) : left][::-1], round(GAP * height))
        after = _along(text[left + width : left + width + reach], round(GAP * height))
        line[rows, left - before : left + width + after] = 255
    return widened(line, MARGIN)


def _along(text: Mask, gap: int) -> int:
    """Columns up to the last one with text before a gap of more than `gap` columns."""
    columns = np.flatnonzero(text)
    wide = np.flatnonzero(np.diff(columns, prepend=-1) > gap)
    columns = columns[: wide[0]] if len(wide) else columns
    return int(columns[-1]) + 1 if len(columns) else 0
