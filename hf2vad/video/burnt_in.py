"""Text and other marks that a recorder burns into the picture: they stand still while the camera sways."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hf2vad.schema import F32, U8
from hf2vad.video.median import median
from hf2vad.video.steady import brightness

EDGE = 8.0
"""Levels a pixel from which on there is an edge: where the picture moves, its levels change."""
EXPECTED = 6.0
"""Levels by which an edge must be expected to change, so that it can be said that it does not."""
STILL = 0.25
"""An edge stands still that changes by less than this share of what is expected."""
ALONG = 3.0
"""How many times steeper in one direction than in the other an edge is that tells how far pictures sway in it."""
ENOUGH = 50
"""Pixels of such edges, below which nothing is told of a direction."""
SQUARE = 1 / 40
"""Side of the squares in which edges that stand still are counted, as a share of the picture's longer side."""
LEAST = 4
"""Pixels along such a square, below which no text can be read, and a line fills one."""
DENSE = 1 / 6
"""Share of a square whose edges stand still, from which on there is text. A line alone fills less."""
CLOCK = 2
"""Squares beside the text that are covered too: the seconds of a clock change."""
SIGMA = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""


def burnt_in(picture: U8, greys: Sequence[U8]) -> U8 | None:
    """(H, W): 255 where something is burnt into the pictures of a camera that sways; None where nothing is.

    `picture`: (H, W) median of the (H, W) grey pictures `greys`. How far pictures sway across and down is told from how
    much their edges change; where edges are dense and change far less, there is text. If the camera stands still, no
    edge is expected to change, and none is found; nor is it in pictures that are too small for text.
    """
    side = round(SQUARE * max(picture.shape))
    if side < LEAST:
        return None
    level = brightness(picture)
    alike = (cv2.convertScaleAbs(grey, alpha=level / brightness(grey)) for grey in greys)
    across = np.asarray(cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
    down = np.asarray(cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
    steep = np.hypot(across, down)
    apart = median([np.asarray(cv2.absdiff(grey, picture), np.uint8) for grey in alike])
    change = SIGMA * apart.astype(np.float32)
    noise = float(np.median(change[steep < 1])) if (steep < 1).any() else 0.0
    expected = np.hypot(across * _sway(change, noise, across, down), down * _sway(change, noise, down, across))
    still = (steep >= EDGE) & (expected >= EXPECTED) & (np.hypot(expected, noise) * STILL > change)
    dense = cv2.blur(still.astype(np.float32), (side, side)) >= DENSE
    if not dense.any():
        return None
    text = still & (cv2.dilate(dense.astype(np.uint8), np.ones((2 * side + 1, 2 * side + 1))) > 0)
    around = np.ones((side + 1, 2 * CLOCK * side + 1), np.uint8)
    return np.asarray(cv2.dilate(text.astype(np.uint8) * 255, around), np.uint8)


def _sway(change: F32, noise: float, slope: F32, other: F32) -> float:
    """Pixels by which pictures sway in a direction: the standard deviation."""
    edges = (np.abs(slope) >= EDGE) & (np.abs(slope) > ALONG * np.abs(other))
    if np.count_nonzero(edges) < ENOUGH:
        return 0.0
    return float(np.median(np.sqrt(np.maximum(change[edges] ** 2 - noise**2, 0)) / np.abs(slope[edges])))
