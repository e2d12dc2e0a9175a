"""Images as frames."""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
import PIL.Image

from hf2vad.schema import U8

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""Kinds that may be decoded, by their content; a file's name decides nothing."""

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

PIL.Image.MAX_IMAGE_PIXELS = None  # The limit is ours (LimitsConfig), and checked before anything is decoded.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # A line for each damaged tag.


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that an image's header gives, without decoding it; none when it is no image."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.size
    except Exception:  # a damaged header makes the parsers raise whatever comes of it
        return None


def decode_image(data: bytes, size: tuple[int, int]) -> U8 | None:
    """(H, W, 3) uint8 BGR, as stored (orientation tags are ignored); none when it cannot be decoded to its `size`."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error:
        return None
    fits = image is not None and (image.shape[1], image.shape[0]) == size
    return np.asarray(image, np.uint8) if fits else None


def scaled_down(image: U8, size: tuple[int, int]) -> U8:
    """`image` at `size` (width, height), each pixel the mean of the area that it covers."""
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
