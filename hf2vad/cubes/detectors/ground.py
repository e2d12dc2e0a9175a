"""A background, as frames are compared with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.opencv import cv2
from hf2vad.schema import U8
from hf2vad.video.steady import brightness

AGREE = 1.125
"""Factor between two measures of brightness from which on the median level is not trusted."""
LEVELS = 16, 240
"""Lowest and highest level of a pixel that tells a ratio: darker ones are noise, brighter ones cut off."""

APART = 4
"""Pixels between the two places of an edge."""
CONTRAST = 32
"""Difference in blue, green or red between them, grey levels, above which they are an edge."""
KEPT = 1 / 3
"""Share of an edge's contrast that a picture has at least where it shows the edge."""
CELL = 16
"""Pixels along a side of the squares of a background, of each of which the strongest edge counts."""
FEWEST = 32
"""Squares with an edge, or levels of pixels, below which they tell nothing: one person may stand before all of them."""
SHOWN = 0.2
"""Share of the edges across, or down, below which a picture is of something else than the background."""

_GRID = (slice(CELL // 2, None, CELL), slice(CELL // 2, None, CELL))


class Ground:
    """A background with what is computed of it once for all frames."""

    def __init__(self, background: U8) -> None:
        """background: (H, W, 3) BGR."""
        self.background = background
        self._smooth = smooth(background)
        self._brightness = brightness(background)
        self._edges = [Edges.of(self._smooth, axis) for axis in (0, 1)]
        self._lit = 1.0, self._smooth
        grid = self._smooth[_GRID].ravel()
        self._telling = np.flatnonzero((grid >= LEVELS[0]) & (grid <= LEVELS[1]))
        self._before = grid[self._telling].astype(np.float32)

    def gain(self, image: U8) -> float:
        """Factor that makes the background as bright as a (H, W, 3) picture.

        It is the ratio of the median levels. Of a picture that is half dark and half bright, someone who comes or goes
        moves the median from one to the other; where it is far from the median ratio of the pixels, that counts.
        """
        of_levels = brightness(image) / self._brightness
        now = image[_GRID].ravel()[self._telling]
        ratios = (now / self._before)[now <= LEVELS[1]]
        if len(ratios) < FEWEST:
            return of_levels
        of_pixels = float(np.median(ratios))
        trusted = of_pixels < AGREE * of_levels and of_levels < AGREE * of_pixels
        return of_levels if trusted else of_pixels

    def lit(self, gain: float) -> U8:
        """(H, W, 3) BGR: the smoothed background, `gain` times as bright."""
        if gain != self._lit[0]:
            self._lit = gain, np.asarray(cv2.convertScaleAbs(self._smooth, alpha=gain), np.uint8)
        return self._lit[1]

    def shown_in(self, smoothed: U8, gain: float) -> bool:
        """True if a smoothed (H, W, 3) picture, `gain` times as bright, shows the background behind whatever is there.

        It does not when the camera has turned: edges of the background are missing then. They stay in another light,
        and between people. True for a background with too few edges to tell.
        """
        return all(edges.shown_in(smoothed, gain) >= SHOWN for edges in self._edges if len(edges.contrast) >= FEWEST)


@dataclass(frozen=True)
class Edges:
    """Places of a background with an edge between them, spread over the picture."""

    darker: npt.NDArray[np.intp]
    brighter: npt.NDArray[np.intp]
    """(N,) each: places in the flattened picture."""
    contrast: npt.NDArray[np.int16]
    """(N,): how much brighter the one is than the other."""

    @classmethod
    def of(cls, picture: U8, axis: int) -> Self:
        """Edges of a (H, W, 3) picture between places one below the other (axis 0), or side by side (1)."""
        levels = picture.astype(np.int16)
        near, far = ((slice(None),) * axis + (cut,) for cut in (slice(None, -APART), slice(APART, None)))
        rise = np.zeros_like(levels)
        rise[near] = levels[far] - levels[near]
        first = _strongest(np.abs(rise))
        second = first + APART * levels.strides[axis] // levels.itemsize
        rises = rise.take(first) > 0
        darker, brighter = np.where(rises, first, second), np.where(rises, second, first)
        return cls(darker, brighter, np.abs(rise.take(first)))

    def shown_in(self, picture: U8, gain: float) -> float:
        """Share of the edges that a (H, W, 3) picture, `gain` times as bright as the background, has too."""
        contrast = picture.take(self.brighter).astype(np.int16) - picture.take(self.darker)
        return float((contrast > gain * KEPT * self.contrast).mean())


def _strongest(contrast: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
    """Place of the highest (H, W, 3) `contrast` in each whole square that has an edge, in the flattened picture."""
    down, across = (size // CELL for size in contrast.shape[:2])
    squares = (down, CELL, across, CELL * contrast.shape[2])
    places, levels = (
        array[: down * CELL, : across * CELL].reshape(squares).swapaxes(1, 2).reshape(down * across, CELL * squares[3])
        for array in (np.arange(contrast.size).reshape(contrast.shape), contrast)
    )
    if not len(levels):
        return np.empty(0, np.intp)
    numbers, highest = np.arange(len(levels)), levels.argmax(axis=1)
    places, levels = places[numbers, highest], levels[numbers, highest]
    return np.asarray(places[levels > CONTRAST], np.intp)


def smooth(picture: U8) -> U8:
    """A (H, W, 3) picture without the noise of single pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8)
