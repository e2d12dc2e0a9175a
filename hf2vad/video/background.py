"""The background of a stretch of video: what is there when nobody is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hf2vad.profile import span
from hf2vad.schema import F32, U8
from hf2vad.video.burnt_in import burnt_in
from hf2vad.video.clock import line_of, seconds_of_clock
from hf2vad.video.decode import Sized, as_stored, decode_all
from hf2vad.video.median import median
from hf2vad.video.shards import Shard, Stretch
from hf2vad.video.steady import Landmarks, Motion, in_grey, widened

SWAY = 0.5
"""Pixels by which a picture lies apart from the others, from which on the camera has moved."""
SWAYING = 3
"""Pictures of a background's that lie apart, from which on the camera sways: one may be misjudged."""
HIDDEN = 0.5
"""Share of a box that lies on burnt-in text, from which on it is the text's."""
LOOKED_AT = 2
"""One picture in so many of a background's shows what is burnt into them all."""
TRIED = (1 / 6, 1 / 2, 5 / 6)
"""Places among the pictures, as shares of their number, of those that are tried for one by which the others lie."""
SPREAD = 0.5
"""Least share of the picture between the corners of a single one. A vehicle that creeps along may fill some of it."""
ROUNDS = 2
"""Times that the pictures of a camera that sways are laid on their median, and the median is taken anew."""

Moment = tuple[float, U8]
"""The time of a frame in seconds, and its (H, W) grey picture."""


@dataclass(frozen=True, eq=False)
class Background:
    """The picture of a stretch of video without whoever passes, and how frames are laid on it."""

    picture: U8
    """(H, W, 3) BGR."""
    landmarks: Landmarks | None = None
    """By which the pictures of the stretch are laid on it; None where the camera does not sway."""
    covered: U8 | None = None
    """(H, W): 255 where a clock or other text is burnt into the pictures."""

    def laid(self, image: U8, grey: U8) -> tuple[U8, Motion | None]:
        """A (H, W, 3) frame where the background is, and the motion from there to where it was; None where it was not
        moved. `grey`: the frame in grey."""
        if self.landmarks is None or (motion := self.landmarks.motion(grey)) is None:
            return image, None
        return self.landmarks.laid(image, motion), motion

    def shows(self, boxes: F32) -> npt.NDArray[np.bool_]:
        """(N,): True for a box (x1, y1, x2, y2) in the picture of which less than `HIDDEN` is covered."""
        if self.covered is None:
            return np.ones(len(boxes), np.bool_)
        covered = self._covered_pixels
        height, width = self.covered.shape
        x1, y1, x2, y2 = np.clip(np.round(boxes), 0, (width, height, width, height)).astype(np.int64).T
        hidden = covered[y2, x2] - covered[y1, x2] - covered[y2, x1] + covered[y1, x1]
        return np.asarray((hidden == 0) | (hidden < HIDDEN * (y2 - y1) * (x2 - x1)), np.bool_)

    @cached_property
    def _covered_pixels(self) -> npt.NDArray[np.int64]:
        """(H + 1, W + 1): how many pixels above and left of each are covered."""
        assert self.covered is not None
        return np.pad((self.covered > 0).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


class Backgrounds:
    """The backgrounds of videos, those of the last two stretches kept: shards at the border of two need both."""

    KEPT = 2

    def __init__(self, sized: Sized = as_stored, *, steady: bool = False, clock: bool = False) -> None:
        """`sized`, `steady`, `clock`: as `background` takes them."""
        self._sized, self._steady, self._clock = sized, steady, clock
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
                self._kept[key] = background(stretch, self._sized, steady=self._steady, clock=self._clock)
        return self._kept[key]


def background(
    stretch: Stretch, sized: Sized = as_stored, *, steady: bool = False, clock: bool = False
) -> Background | None:
    """The median of the sampled pictures, channel by channel; None where none can be decoded.

    `sized`: size of the pictures as `decode` takes it. Pictures of another size than most are left out. `steady`: find
    out if the camera sways, and lay the pictures on each other. `clock`: find out if a clock is burnt in. Raises
    VideoError when the video cannot be read.
    """
    sampled = set(stretch.sampled.tolist())
    telling = (
        {frame for window in stretch.seconds for frame in window.tolist()} if clock and not stretch.clock else set()
    )
    pictures, seconds = list[U8](), dict[int, Moment]()
    for frame in decode_all(stretch.samples, sized):
        if frame.image is not None and frame.index in sampled:
            pictures.append(frame.image)
        if frame.image is not None and frame.index in telling:
            seconds[frame.index] = frame.pts_s, in_grey(frame.image)
    if not pictures:
        return None
    shape, _ = Counter(picture.shape for picture in pictures).most_common(1)[0]
    pictures = [picture for picture in pictures if picture.shape == shape]
    picture = median(pictures)
    if stretch.clock:
        windows = (_moments(shard, sized) for shard in stretch.clock)
    else:
        windows = ([seconds[index] for index in window.tolist() if index in seconds] for window in stretch.seconds)
    line = _clock(windows, picture) if clock else None
    return (_steadied(picture, pictures, line) if steady else None) or Background(picture, covered=line)


def _moments(shard: Shard, sized: Sized) -> list[Moment]:
    return [(frame.pts_s, in_grey(frame.image)) for frame in decode_all([shard], sized) if frame.image is not None]


def _clock(windows: Iterable[Sequence[Moment]], picture: U8) -> U8 | None:
    """(H, W): 255 on the line of text with a clock that the first of the windows shows that shows one; None where none
    does. `picture`: the background."""
    for window in windows:
        moments = [(pts_s, grey) for pts_s, grey in window if grey.shape == picture.shape[:2]]
        seconds = seconds_of_clock([grey for _, grey in moments], np.array([pts_s for pts_s, _ in moments]))
        if seconds is not None:
            return line_of(seconds, in_grey(picture))
    return None


def _steadied(picture: U8, pictures: Sequence[U8], clock: U8 | None) -> Background | None:
    """The background of a camera that sways; None of one that stands still. `picture`: the median of `pictures`."""
    greys = [in_grey(each) for each in pictures]
    covered = burnt_in(in_grey(picture), greys[::LOOKED_AT])
    if clock is not None:
        covered = clock if covered is None else covered | clock
    landmarks, motions = _placed(picture, covered, greys)
    blurred = _told(motions) < len(pictures) / 2
    if blurred:
        landmarks, motions = _placed_by_one(pictures, greys, covered)
    distances = [landmarks.distance(motion) for motion in motions if motion is not None]
    moves = sum(distance > SWAY for distance in distances)
    if moves < SWAYING or len(distances) < len(pictures) / 2:  # it stands still, or shows several places
        return None
    if covered is not None:
        covered = widened(covered, math.ceil(max(distances)))
    if blurred:
        landmarks = replace(landmarks, picture=_laid(pictures, landmarks, motions))
        return Background(landmarks.picture, landmarks, covered)
    for _ in range(ROUNDS):
        landmarks, motions = _placed(_laid(pictures, landmarks, motions), covered, greys)
        if _told(motions) < len(pictures) / 2:
            return None
    return Background(landmarks.picture, landmarks, covered)


def _placed_by_one(
    pictures: Sequence[U8], greys: Sequence[U8], covered: U8 | None
) -> tuple[Landmarks, list[Motion | None]]:
    """The landmarks of one of the pictures, and the motion from it to each, where their median is too blurred to have
    any. It is the one nearest to the middle of where they lie, without the corners of whoever passes there.

    No motion is told where the corners that are left do not spread over the picture.
    """
    tried = sorted({round(share * (len(pictures) - 1)) for share in TRIED})
    placed = [_placed(pictures[at], covered, greys) for at in tried]
    landmarks, motions = max(placed, key=lambda each: _told(each[1]))
    if not _told(motions):
        return landmarks, motions
    landmarks = Landmarks.of(pictures[_middle(motions, greys[0].shape)], covered).agreeing(greys)
    spread = landmarks.spread >= SPREAD
    return landmarks, [landmarks.motion(grey) if spread else None for grey in greys]


def _middle(motions: Sequence[Motion | None], shape: tuple[int, ...]) -> int:
    """Number of the picture whose centre is next to the median of all centres, by the motions from one picture."""
    centre = np.array([shape[1] / 2, shape[0] / 2, 1])
    places = np.array([np.full(2, np.nan) if motion is None else motion @ centre for motion in motions])
    apart = np.linalg.norm(places - np.nanmedian(places, axis=0), axis=1)
    return int(np.nanargmin(apart))


def _laid(pictures: Sequence[U8], landmarks: Landmarks, motions: Sequence[Motion | None]) -> U8:
    """The median of the pictures that have a motion, each laid by it."""
    return median(
        [landmarks.laid(each, motion) for each, motion in zip(pictures, motions, strict=True) if motion is not None]
    )


def _placed(picture: U8, covered: U8 | None, greys: Sequence[U8]) -> tuple[Landmarks, list[Motion | None]]:
    """The landmarks of a picture, and the motion from it to each of the others."""
    landmarks = Landmarks.of(picture, covered)
    return landmarks, [landmarks.motion(grey) for grey in greys]


def _told(motions: Sequence[Motion | None]) -> int:
    return sum(motion is not None for motion in motions)
