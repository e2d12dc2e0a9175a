"""The background of a stretch of video: what is there when nobody is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hf2vad.schema import U8
from hf2vad.video.decode import Sized, as_stored, decode_all
from hf2vad.video.shards import Stretch


def background(stretch: Stretch, sized: Sized = as_stored) -> U8 | None:
    """(H, W, 3) BGR: the median of the sampled pictures, channel by channel; None where none can be decoded.

    `sized`: size of the pictures as `decode` takes it. Pictures of another size than most are left out. Raises
    VideoError when the video cannot be read.
    """
    pictures = [frame.image for frame in decode_all(stretch.samples, sized) if frame.image is not None]
    if not pictures:
        return None
    shape, _ = Counter(picture.shape for picture in pictures).most_common(1)[0]
    stack = np.stack([picture for picture in pictures if picture.shape == shape])
    middle = len(stack) // 2
    stack.partition(middle, axis=0)
    return np.array(stack[middle])
