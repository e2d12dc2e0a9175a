"""Images as frames."""

from __future__ import annotations

import cv2
import numpy as np

from hf2vad.schema import U8
from hf2vad.storage import read_bytes

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_image(uri: str) -> U8 | None:
    """(H, W, 3) uint8 BGR, as stored (orientation tags are ignored); none when it cannot be decoded."""
    data = np.frombuffer(read_bytes(uri), np.uint8)
    if not len(data):
        return None
    try:
        image = cv2.imdecode(data, _FLAGS)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def scaled_down(image: U8, size: tuple[int, int]) -> U8:
    """`image` at `size` (width, height), each pixel the mean of the area that it covers."""
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
