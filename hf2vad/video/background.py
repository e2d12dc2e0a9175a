"""The background of a stretch of video: what is there when nobody is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hf2vad.profile import span
from hf2vad.schema import U8
from hf2vad.video.decode import Sized, as_stored, decode_all
from hf2vad.video.shards import Shard, Stretch

ROWS = 16
"""Rows of the pictures whose median is taken at once, so that they stay in the processor's cache."""


class Backgrounds:
    """The backgrounds of videos, those of the last two stretches kept: shards at the border of two need both."""

    KEPT = 2

    def __init__(self, sized: Sized = as_stored) -> None:
        """`sized`: size of the pictures as `decode` takes it."""
        self._sized = sized
        self._kept: dict[tuple[str, str, int], U8 | None] = {}

    def at(self, shard: Shard, index: int) -> U8 | None:
        """The background of the stretch that frame `index` of a shard lies in; None where the shard names none.

        Raises VideoError when the video cannot be read.
        """
        stretch = next((stretch for stretch in reversed(shard.stretches) if stretch.start <= index), None)
        if stretch is None:
            return None
        key = shard.video.uri, shard.video.fingerprint, stretch.start
        if key not in self._kept:
            while len(self._kept) >= self.KEPT:
                del self._kept[next(iter(self._kept))]
            with span("background"):
                self._kept[key] = background(stretch, self._sized)
        return self._kept[key]


def background(stretch: Stretch, sized: Sized = as_stored) -> U8 | None:
    """(H, W, 3) BGR: the median of the sampled pictures, channel by channel; None where none can be decoded.

    `sized`: size of the pictures as `decode` takes it. Pictures of another size than most are left out. Raises
    VideoError when the video cannot be read.
    """
    pictures = [frame.image for frame in decode_all(stretch.samples, sized) if frame.image is not None]
    if not pictures:
        return None
    shape, _ = Counter(picture.shape for picture in pictures).most_common(1)[0]
    return median([picture for picture in pictures if picture.shape == shape])


def median(pictures: Sequence[U8]) -> U8:
    """(H, W, 3): the median of N pictures of one size, channel by channel; of an even number, the upper one."""
    made = np.empty_like(pictures[0])
    for top in range(0, len(made), ROWS):
        rows = slice(top, top + ROWS)
        made[rows] = _upper_middle([picture[rows] for picture in pictures])
    return made


def _upper_middle(pictures: Sequence[U8]) -> U8:
    """As `median`: the pictures are put in order, pixel by pixel, up to the middle one. NumPy's partition takes ten
    times as long over so few values a pixel."""
    middle = len(pictures) // 2
    ascending: list[U8] = []
    for picture in pictures:
        rest = picture
        for place, lower in enumerate(ascending):
            ascending[place], rest = np.minimum(lower, rest), np.maximum(lower, rest)
        if len(ascending) <= middle:
            ascending.append(rest)
    return ascending[middle]
