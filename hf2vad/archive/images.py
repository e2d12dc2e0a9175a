"""Images as frames."""

from __future__ import annotations

import io

import cv2
import numpy as np
import PIL.Image

from hf2vad.schema import U8

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""Kinds that may be decoded, by their content; a file's name decides nothing."""

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

PIL.Image.MAX_IMAGE_PIXELS = None  # The limit is ours (LimitsConfig), and checked before anything is decoded.


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that an image's header gives, without decoding it; none when it is no image."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.size
    except Exception:  # a damaged header makes the parsers raise whatever comes of it
        return None


def decode_image(data: bytes) -> U8 | None:
    """(H, W, 3) uint8 BGR, as stored (orientation tags are ignored); none when it cannot be decoded."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
