"""Images as frames."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

import cv2
import numpy as np
import PIL.Image

from hf2vad.schema import U8
from hf2vad.video.upright import EXIF, UPRIGHT, Turn

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""Kinds that may be decoded, by their content; a file's name decides nothing."""

ORIENTATION = 0x0112
"""EXIF tag."""

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

PIL.Image.MAX_IMAGE_PIXELS = None  # The limit is ours (LimitsConfig), and checked before anything is decoded.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # A line for each damaged tag.


class ImageHeader(NamedTuple):
    """Header of an image."""

    width: int
    height: int
    """Size as stored."""
    turn: Turn
    """Turn that makes the image upright, from its EXIF tag."""


def image_header(data: bytes) -> ImageHeader | None:
    """Header of an image, read without decoding it. None if the bytes are no image."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # Of other kinds the tags may stand behind the pixels, which would be decoded.
            tag = int(image.getexif().get(ORIENTATION, 1)) if image.format == "JPEG" else 1
            return ImageHeader(*image.size, EXIF.get(tag, UPRIGHT))
    except Exception:  # a damaged header makes the parsers raise whatever comes of it
        return None


def decode_image(data: bytes, header: ImageHeader) -> U8 | None:
    """(H, W, 3) uint8 BGR as stored, orientation tags ignored; none when it cannot be decoded to the header's size."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error:
        return None
    fits = image is not None and (image.shape[1], image.shape[0]) == (header.width, header.height)
    return np.asarray(image, np.uint8) if fits else None


def scaled_down(image: U8, size: tuple[int, int]) -> U8:
    """`image` at `size` (width, height), each pixel the mean of the area that it covers."""
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
