"""People, or where their faces should be, made unrecognisable: squares of one colour in place of pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from hf2vad.evidence.settings import Pixelate
from hf2vad.schema import F32, U8

ACROSS = 4
"""Squares across the shorter side of the largest region, at most."""
LEAST = 8
"""Smallest side of a square, in pixels of the picture."""
MARGIN = 0.1
"""Added on each side of a box, as a share of its own side: boxes fit tightly, and things move."""
FACE = 1 / 3
"""Upper part of a box that holds the face of a person who stands."""


def regions(boxes: F32, what: Pixelate) -> F32:
    """(N, 4): what is to be hidden of (N, 4) `boxes`; not clipped to a frame."""
    if what == "none":
        return np.empty((0, 4), np.float32)
    hidden = boxes.astype(np.float32, copy=True)
    if what == "faces":
        hidden[:, 3] = boxes[:, 1] + (boxes[:, 3] - boxes[:, 1]) * FACE
    sides = (boxes[:, 2:] - boxes[:, :2]) * MARGIN
    return np.concatenate([hidden[:, :2] - sides, hidden[:, 2:] + sides], axis=1)


def pixelated(image: U8, hidden: F32) -> U8:
    """(H, W, 3) `image` with the squares that touch one of the (N, 4) regions averaged; the image itself for none.

    All squares of a picture have one size, a share of its largest region, so what is smaller is hidden the more.
    """
    height, width = image.shape[:2]
    inside = np.clip(hidden.astype(np.float64), 0, np.array([width, height, width, height]))
    inside = inside[(inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])]
    if not len(inside):
        return image
    shorter = np.minimum(inside[:, 2] - inside[:, 0], inside[:, 3] - inside[:, 1]).max()
    side = max(LEAST, math.ceil(float(shorter) / ACROSS))
    columns, rows = -(-width // side), -(-height // side)
    room = (0, rows * side - height, 0, columns * side - width)
    whole = cv2.copyMakeBorder(image, *room, cv2.BORDER_REPLICATE)
    coarse = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    blocks = cv2.resize(coarse, (columns * side, rows * side), interpolation=cv2.INTER_NEAREST)
    mask = np.zeros((rows, columns), bool)
    for x1, y1, x2, y2 in inside / side:
        mask[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)] = True
    hides = mask.repeat(side, axis=0).repeat(side, axis=1)[:height, :width, None]
    return np.where(hides, np.asarray(blocks, np.uint8)[:height, :width], image)


def pixelated_crop(crop: U8, what: Pixelate) -> U8:
    """The (H, W, 3) crop of one box: all of it for `people`, its upper third for `faces`."""
    height, width = crop.shape[:2]
    whole: F32 = np.array([[0, 0, width, height]], np.float32)
    return pixelated(crop, regions(whole, what))
