"""Orientation of pictures: display matrices and EXIF tags, and their correction."""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from hf2vad.schema import U8


class Turn(NamedTuple):
    """Operations on a stored picture that make it upright, in this order."""

    transposed: bool = False
    """Rows become columns."""
    mirrored: bool = False
    """Left and right change places."""
    flipped: bool = False
    """Top and bottom change places."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of an upright picture that is stored as `width` × `height`, and the other way round."""
        return (height, width) if self.transposed else (width, height)

    def upright(self, image: U8) -> U8:
        """(H, W, 3) `image` turned; contiguous."""
        if self.transposed:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirrored or self.flipped:
            axis = -1 if self.mirrored and self.flipped else 1 if self.mirrored else 0
            image = np.asarray(cv2.flip(image, axis), np.uint8)
        return image


UPRIGHT = Turn()
EXIF = {
    2: Turn(mirrored=True),
    3: Turn(mirrored=True, flipped=True),
    4: Turn(flipped=True),
    5: Turn(transposed=True),
    6: Turn(transposed=True, mirrored=True),
    7: Turn(transposed=True, mirrored=True, flipped=True),
    8: Turn(transposed=True, flipped=True),
}
"""Turn by the value of EXIF's Orientation tag; other values are upright."""


def turn_of(frame: VideoFrame) -> Turn:
    """Turn of a frame's display matrix. Angles between quarters round to the nearest.

    The matrix (a, b, u; c, d, v; x, y, w) shows the stored pixel (x, y) at (ax + cy, bx + dy).
    """
    # Not frame.side_data: frame and container would hold each other, and every picture's memory would wait for the
    # garbage collector, which counts objects, not bytes.
    side_data = SideDataContainer(frame)  # type: ignore[call-arg]
    matrix = side_data.get(Type.DISPLAYMATRIX) if len(side_data) else None
    if matrix is None or matrix.buffer_size < 36:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(True, c < 0, b < 0)
    return Turn(False, a < 0, d < 0)
