"""Distinguishes the frames of an image sequence from stray images in the same folder."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hf2vad.schema import F64

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".f4v", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg"),
    *(".mpeg", ".vob", ".flv", ".asf", ".wmv", ".ogv", ".dav", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg"),
    *(".mjpg", ".m2v"),
)
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
"""Image formats, lossless first. Of one picture in several formats, the first of these is the frame."""

LEAST_IMAGES = 5
"""Images that make a video: fewer have no frame with full context."""

USUAL_SHARE = 0.5
"""Share of steps from number to number that are the usual one in a count from which some are missing."""

_OF_RECORDERS = re.compile(r"(?:\d+-(?:analyse|diag.*)|alarm|snapshot|objdetect)", re.IGNORECASE)
"""Pictures that ZoneMinder puts beside an event's frames."""
_THUMBNAIL = re.compile(r"(?:.*[-_. ])?thumb(?:nail)?s?", re.IGNORECASE)


class PassedStill(NamedTuple):
    """An image that is no frame."""

    name: str
    why: str


class StillFilter:
    """Is shown the names of a folder's files in byte order, and tells which images are frames.

    Holds only names that begin alike: whether there is a video or a better image of the same name is known when the
    names go on to others.
    """

    def __init__(self) -> None:
        self._images: deque[str] = deque()
        self._videos: list[str] = []
        self._best: dict[str, int] = {}
        self.passed: list[PassedStill] = []
        """Images that were passed over since this was last emptied."""

    def show(self, name: str) -> Iterator[str]:
        """Take the name of a video or image; yields images that are frames."""
        yield from self._decided(name)
        stem, suffix = _stem_and_suffix(name)
        if suffix in VIDEO_SUFFIXES:
            self._videos = [video for video in self._videos if name.startswith(_stem(video) + ".")] + [name]
        elif suffix in IMAGE_SUFFIXES:
            self._images.append(name)
            self._best[stem] = min(_rank(name), self._best.get(stem, len(IMAGE_SUFFIXES)))

    def end(self) -> Iterator[str]:
        """Frames among the last names."""
        yield from self._decided("")

    def _decided(self, following: str) -> Iterator[str]:
        while self._images and not following.startswith(_stem(self._images[0]) + "."):
            name = self._images.popleft()
            if why := self._why_not(name):
                self.passed.append(PassedStill(name, why))
            else:
                yield name
        if not self._images:
            self._best.clear()

    def _why_not(self, name: str) -> str:
        stem = _stem(name)
        if any(stem in (video, _stem(video)) for video in self._videos):
            return "still of a video"
        if _OF_RECORDERS.fullmatch(stem):
            return "still of a recorder"
        if _THUMBNAIL.fullmatch(stem):
            return "thumbnail"
        return "same picture in another format" if self._best[stem] < _rank(name) else ""


def suffix_of(name: str) -> str:
    """The ending of a file's name, in small letters."""
    return _stem_and_suffix(name)[1]


def frame_names(names: Iterable[str]) -> list[str]:
    """Names of the images that are frames, in the order of their numbers; `names`: a folder's files in byte order."""
    chosen = StillFilter()
    frames = [frame for name in names for frame in chosen.show(name)] + list(chosen.end())
    return sorted(frames, key=_natural)


def counted_places(names: Sequence[str]) -> F64:
    """(frames,): places of ordered names in their own count, from 0; one apart where nothing is missing.

    Names count when nothing but one number differs among them, it ascends, and most steps are of one size.
    """
    plain = np.arange(len(names), dtype=np.float64)
    parts = [_natural(_stem(name))[0] for name in names]
    if len(names) < LEAST_IMAGES or len({len(each) for each in parts}) > 1:
        return plain
    differing = [column for column in zip(*parts, strict=True) if len(set(column)) > 1]
    if len(differing) != 1 or not all(isinstance(number, int) and number < 2**53 for number in differing[0]):
        return plain
    numbers = np.array(differing[0], np.float64)
    steps = np.diff(numbers)
    usual = float(np.median(steps))
    if usual <= 0 or (steps % usual != 0).any() or np.mean(steps == usual) < USUAL_SHARE:
        return plain
    return np.asarray((numbers - numbers[0]) / usual, np.float64)


def _stem(name: str) -> str:
    return _stem_and_suffix(name)[0]


@lru_cache(maxsize=64)  # of each name of a listing both are asked for several times
def _stem_and_suffix(name: str) -> tuple[str, str]:
    stem, suffix = os.path.splitext(name)
    return stem, suffix.lower()


def _rank(name: str) -> int:
    return IMAGE_SUFFIXES.index(suffix_of(name))


def _natural(name: str) -> tuple[tuple[int | str, ...], str]:
    """Sorts 2.jpg before 10.jpg: odd parts are numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name
