"""Shards: half-open frame ranges of a video, each with the frames around it that its cubes need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf2vad.archive.catalog import Video
from hf2vad.archive.timeline import Timeline

Range = tuple[int, int]
"""A half-open range of frames: the first, and the one after the last."""

HALO_BEFORE = 4
"""Frames before a shard that are decoded too: the context of its first frame."""
LOOK_AHEAD = 1
"""Frames after a frame that its motion boxes depend on."""
HALO_AFTER = LOOK_AHEAD + 3
"""Frames after a shard that are decoded too: where flow is computed may depend on the boxes of three more frames."""


@dataclass(frozen=True, eq=False)
class Shard:
    """The unit of work: frames `start` … `stop` of a video, decoded from `first` to `last`."""

    video: Video
    start: int
    stop: int
    first: int
    last: int
    frame_count: int
    """Frames of the whole video."""
    width: int
    height: int
    pts_s: npt.NDArray[np.float64]
    """(last − first,): times of the decoded frames, seconds from the video's first."""
    pts: npt.NDArray[np.int64] | None
    """The same in the stream's time base; none for images and for a video that is decoded from its start."""
    seek_pts: tuple[int, ...]
    """Times of the keyframes that decoding can start from: the last one, and the one before it."""
    names: tuple[str, ...]
    """File names of the images; empty for a video file."""


def cut_shards(
    video: Video, timeline: Timeline, shard_frames: int, *, start: int = 0, stop: int | None = None
) -> Iterator[Shard]:
    """Cut frames `start` … `stop` of a video into shards of at most `shard_frames`, in order.

    A video without usable timestamps can only be decoded from its start, so it is one shard.
    """
    stop = timeline.frame_count if stop is None else min(stop, timeline.frame_count)
    step = max(1, stop - start) if timeline.sequential else shard_frames
    for begin in range(start, stop, step):
        end = min(begin + step, stop)
        first, last = max(0, begin - HALO_BEFORE), min(timeline.frame_count, end + HALO_AFTER)
        pts = None if timeline.pts is None else timeline.pts[first:last].copy()
        yield Shard(
            video=video,
            start=begin,
            stop=end,
            first=first,
            last=last,
            frame_count=timeline.frame_count,
            width=timeline.width,
            height=timeline.height,
            pts_s=timeline.pts_s[first:last].copy(),
            pts=pts,
            seek_pts=() if pts is None else timeline.keyframes_before(int(pts[0])),
            names=timeline.names[first:last],
        )
