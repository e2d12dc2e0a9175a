"""The background of a stretch of video: what is there when nobody is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hf2vad.profile import span
from hf2vad.schema import U8
from hf2vad.video.decode import Sized, as_stored, decode_all
from hf2vad.video.shards import Shard, Stretch
from hf2vad.video.steady import Landmarks, Motion

ROWS = 16
"""Rows of the pictures whose median is taken at once, so that they stay in the processor's cache."""
SWAY = 0.5
"""Pixels by which a picture lies apart from the others, from which on the camera has moved."""
SWAYING = 3
"""Pictures of a background's that lie apart, from which on the camera sways: one may be misjudged."""
ROUNDS = 2
"""Times that the pictures of a camera that sways are laid on their median, and the median is taken anew."""


@dataclass(frozen=True, eq=False)
class Background:
    """The picture of a stretch of video without whoever passes, and how frames are laid on it."""

    picture: U8
    """(H, W, 3) BGR."""
    landmarks: Landmarks | None = None
    """By which the pictures of the stretch are laid on it; None where the camera does not sway."""


class Backgrounds:
    """The backgrounds of videos, those of the last two stretches kept: shards at the border of two need both."""

    KEPT = 2

    def __init__(self, sized: Sized = as_stored, *, steady: bool = False) -> None:
        """`sized`, `steady`: as `background` takes them."""
        self._sized, self._steady = sized, steady
        self._kept: dict[tuple[str, str, int], Background | None] = {}

    def at(self, shard: Shard, index: int) -> Background | None:
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
                self._kept[key] = background(stretch, self._sized, steady=self._steady)
        return self._kept[key]


def background(stretch: Stretch, sized: Sized = as_stored, *, steady: bool = False) -> Background | None:
    """The median of the sampled pictures, channel by channel; None where none can be decoded.

    `sized`: size of the pictures as `decode` takes it. Pictures of another size than most are left out. `steady`: find
    out if the camera sways, and lay the pictures on each other. Raises VideoError when the video cannot be read.
    """
    pictures = [frame.image for frame in decode_all(stretch.samples, sized) if frame.image is not None]
    if not pictures:
        return None
    shape, _ = Counter(picture.shape for picture in pictures).most_common(1)[0]
    pictures = [picture for picture in pictures if picture.shape == shape]
    picture = median(pictures)
    return (_steadied(picture, pictures) if steady else None) or Background(picture)


def _steadied(picture: U8, pictures: Sequence[U8]) -> Background | None:
    """The background of a camera that sways; None of one that stands still. `picture`: the median of `pictures`."""
    greys = [np.asarray(cv2.cvtColor(each, cv2.COLOR_BGR2GRAY), np.uint8) for each in pictures]
    landmarks, motions = _placed(picture, greys)
    moves = sum(motion is not None and landmarks.distance(motion) > SWAY for motion in motions)
    if moves < SWAYING or _told(motions) < len(pictures) / 2:  # it stands still, or shows several places
        return None
    for _ in range(ROUNDS):
        laid = [
            landmarks.laid(each, motion) for each, motion in zip(pictures, motions, strict=True) if motion is not None
        ]
        landmarks, motions = _placed(median(laid), greys)
        if _told(motions) < len(pictures) / 2:
            return None
    return Background(landmarks.picture, landmarks)


def _placed(picture: U8, greys: Sequence[U8]) -> tuple[Landmarks, list[Motion | None]]:
    """The landmarks of a picture, and the motion from it to each of the others."""
    landmarks = Landmarks.of(picture)
    return landmarks, [landmarks.motion(grey) for grey in greys]


def _told(motions: Sequence[Motion | None]) -> int:
    return sum(motion is not None for motion in motions)


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
