"""A scored video as it is shown: its frames in a size, with what must not be recognised in them hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf2vad.archive.catalog import Video
from hf2vad.evidence.objects import Objects, Range
from hf2vad.evidence.pixelate import pixelated, regions
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.schema import F32
from hf2vad.tables.sizes import sizes_of
from hf2vad.video.decode import Frame, decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import Timeline


@dataclass(frozen=True)
class Footage:
    """A video, and the scored boxes around what is shown of it."""

    video: Video
    timeline: Timeline
    scored: Range
    """Frames that were scored; only they are shown."""
    objects: Objects
    config: EvidenceConfig

    metadata: Mapping[str, Any]
    """Metadata of the frame table, which gives the picture size of each range of frames."""

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of a picture on a screen."""
        return self.timeline.display_size

    def frames(self, start: int, stop: int, size: tuple[int, int]) -> Iterator[Frame]:
        """Frames `start` … `stop`, the end exclusive, scaled to `size` (width, height) and hidden as configured.

        A frame that cannot be decoded has no image. Raises VideoError when the video cannot be read.
        """
        for shard in cut_shards(self.video, self.timeline, max(1, stop - start), start=start, stop=stop):
            for frame in decode(shard, lambda *_: size):
                if start <= frame.index < stop:
                    yield self._hidden(frame, size)

    def boxes(self, frame: int, size: tuple[int, int]) -> F32:
        """(N, 4): the scored boxes of a frame, in pixels of a picture of `size`."""
        return self._scaled(self.objects.of(frame, frame + 1), size)

    def around(self, start: int, stop: int) -> Range:
        """The frames whose boxes are hidden in frames `start` … `stop`."""
        return held(self.timeline, start, stop, self.config.pixelate_hold)

    def _hidden(self, frame: Frame, size: tuple[int, int]) -> Frame:
        if self.config.pixelate == "none" or frame.image is None:
            return frame
        boxes = self._scaled(self.objects.of(*self.around(frame.index, frame.index + 1)), size)
        return Frame(frame.index, frame.pts_s, pixelated(frame.image, regions(boxes, self.config.pixelate)))

    def scale(self, frame: int, size: tuple[int, int]) -> F32:
        """(4,): what a box of a frame is multiplied with for a picture of `size`."""
        own = sizes_of(self.metadata, np.array([frame], np.int32), (self.timeline.width, self.timeline.height))
        return np.tile((np.array(size, np.float64) / own).astype(np.float32)[0], 2)

    def _scaled(self, rows: slice, size: tuple[int, int]) -> F32:
        own = sizes_of(self.metadata, self.objects.frame[rows], (self.timeline.width, self.timeline.height))
        scale = (np.array(size, np.float64) / own).astype(np.float32)
        return np.asarray(self.objects.boxes[rows] * np.tile(scale, 2), np.float32)


def held(timeline: Timeline, start: int, stop: int, seconds: float) -> Range:
    """Frames `start` … `stop` of a video, and those up to `seconds` before and after them."""
    times = timeline.pts_s
    first = np.searchsorted(times, times[start] - seconds, side="left")
    last = np.searchsorted(times, times[stop - 1] + seconds, side="right")
    return min(start, int(first)), max(stop, int(last))


def fitted(size: tuple[int, int], width: int, *, even: bool = False) -> tuple[int, int]:
    """`size` (width, height) scaled down to at most `width` wide; `even`: to even numbers, as video needs them."""
    scale = min(1.0, width / size[0])
    unit = 2 if even else 1
    across, down = (max(unit, unit * round(side * scale / unit)) for side in size)
    return across, down
