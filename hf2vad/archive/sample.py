"""A sample of an archive's footage: short stretches of each camera, spread evenly over all that there is of it.

A camera's footage is one line, video after video in the order of paths, a video as long as its bytes. Stretches lie at
the multiples of the golden section along that line: the first n of them are spread evenly for every n, so a larger
sample holds a smaller one. Only videos with a stretch are opened.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hf2vad.archive.catalog import Video
from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import camera_of

Range = tuple[int, int]
"""First frame and the one after the last."""

GOLDEN = (math.sqrt(5) - 1) / 2

CameraOf = Callable[[Video], str]


def camera_in(pattern: str) -> CameraOf:
    """The camera of a video by its path (place.py): one for all where `pattern` has no `{camera}`."""
    paths = PathPattern(pattern)
    return lambda video: camera_of(video.path, paths)


def places(count: int) -> list[float]:
    """`count` places in [0, 1), in the order in which a sample grows."""
    return [(0.5 + i * GOLDEN) % 1.0 for i in range(count)]


@dataclass
class FootageSize:
    """Amount of a camera's footage."""

    videos: int = 0
    size: int = 0
    """Bytes."""

    def add(self, video: Video) -> None:
        """Count a video, which is at least a byte long."""
        self.videos, self.size = self.videos + 1, self.size + max(1, video.size)


def footage_of(videos: Iterable[Video], camera_of: CameraOf) -> dict[str, FootageSize]:
    """Amount of footage of each camera, by its name."""
    found: dict[str, FootageSize] = {}
    for video in videos:
        found.setdefault(camera_of(video), FootageSize()).add(video)
    return found


@dataclass(frozen=True)
class Pick:
    """Part of a video that the sample takes."""

    shares: tuple[tuple[int, float], ...] | None
    """Number of each place in its camera's sample, and where in the video it is, from 0 to 1; None: all of it."""

    def segments(self, frames: Range, length: int) -> dict[Range, int]:
        """The stretches of `length` frames, in order, and the number of the first place that is in each.

        frames: those of the video that may be taken; stretches are cut from the first of them on.
        """
        start, stop = frames
        count = -(-(stop - start) // length)
        found: dict[Range, int] = {}
        for number, share in sorted(self.shares or ()) if count else ():
            begin = start + min(count - 1, int(share * count)) * length
            found.setdefault((begin, min(begin + length, stop)), number)
        return dict(sorted(found.items()))


def picked(
    videos: Iterable[Video], camera_of: CameraOf, footage: Mapping[str, FootageSize], counts: Mapping[str, int | None]
) -> Iterator[tuple[Video, Pick]]:
    """The videos of which something is taken, in their order.

    footage: of all `videos`. counts: stretches of each camera, None for all of its footage; of a camera that is not
    named nothing is taken.
    """
    lines = {name: sorted((place, i) for i, place in enumerate(places(n))) for name, n in counts.items() if n}
    before = dict.fromkeys(counts, 0)
    for video in videos:
        camera = camera_of(video)
        if camera not in counts:
            continue
        if counts[camera] is None:
            yield video, Pick(None)
            continue
        size, whole = max(1, video.size), footage[camera].size
        begin, end = before[camera] / whole, (before[camera] + size) / whole
        before[camera] += size
        line = lines.get(camera, [])
        inside = line[bisect_left(line, (begin, -1)) : bisect_left(line, (end, -1))]
        if inside:
            yield video, Pick(tuple((i, (place - begin) / (end - begin)) for place, i in inside))
