"""Shards: half-open frame ranges of a video, each with the frames around it that its cubes need."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf2vad.archive.catalog import Video
from hf2vad.video.counting import Restart
from hf2vad.video.sampled import Numbers, detection_frames, sampled
from hf2vad.video.timeline import Timeline

Range = tuple[int, int]
"""A half-open range of frames: the first, and the one after the last."""

HALO_BEFORE = 4
"""Frames before a shard that are worked on too: the context of its first frame."""
LOOK_AHEAD = 1
"""Frames after a frame that its motion boxes depend on."""
BOXES_BEFORE = BOXES_AFTER = 3
"""Frames before and after a shard whose boxes may decide where its flow is computed."""
HALO_AFTER = LOOK_AHEAD + BOXES_AFTER
"""Frames after a shard that are worked on too."""


STRETCH_S = 600.0
"""Seconds of footage that share a background. Light changes little in them, and few people stand still for half."""
SAMPLES = 25
"""Frames that a background is made of."""
FEW_KEYFRAMES = 5
"""Keyframes of a stretch below which the frames right behind them would show too few moments."""
CLOCK_S, CLOCK_FPS = 12.0, 10.0
"""Seconds at both ends of a stretch in which a clock is looked for, and the rate at which frames are looked at."""
CLOCK_LEAST_S = 6.0
"""Seconds of footage, below which nothing shows that digits are a clock's."""
DECODED = 500
"""Frames that are decoded for a background, at most, where a stretch has so many keyframes but too few for all."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Frames of a video that share a background."""

    start: int
    """Number of its first frame."""
    samples: tuple[Shard, ...]
    """The frames that are decoded for the background, spread over the stretch, as one shard or several."""
    sampled: Numbers
    """Numbers of the frames that the background is made of."""
    clock: tuple[Shard, ...]
    """The frames that are decoded to find out if a clock is burnt in: each shard shows those of `seconds` in its place.
    None where they are decoded with `samples`."""
    seconds: tuple[Numbers, ...]
    """Numbers of the frames that show a clock, of its first seconds and of its last: somebody may stand before it in
    one of them. None where nobody knows the times of its frames, or the video is too short to tell."""


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
    """Size of the video's first frame, upright."""
    pts_s: npt.NDArray[np.float64]
    """(last − first,): times of the decoded frames, seconds from the video's first."""
    around: Range
    """The frames that have to be decoded for them: one more on each side where they are deinterlaced."""
    pts: npt.NDArray[np.int64] | None
    """Times of those in the stream's time base; none for images and for a video whose frames were counted."""
    seek_pts: tuple[int, ...]
    """Times of the keyframes that decoding can start from: the last one, and the one before it."""
    packets: npt.NDArray[np.int64] | None
    """Numbers of their packets in a video whose frames were counted; else none."""
    restart: Restart
    """Restart point at which decoding of such a video starts."""
    rotate: bool
    """True if frames are turned upright."""
    interlaced: bool
    """True if frames pass through the deinterlacer."""
    skip_loop_filter: str
    """Pictures that are decoded without deblocking (DecodeConfig.skip_loop_filter)."""
    names: tuple[str, ...]
    """File names of the images; empty for a video file."""
    worked: Numbers
    """Numbers of the frames from `first` to `last` that are worked on, ascending."""
    before: int
    """How many frames of the video before those are worked on."""
    detected: Numbers
    """(worked,): for each of `worked`, the number, among the worked frames, of the frame whose detections it has."""
    fps: float
    """Rate at which frames are worked on; 0: all are."""
    timed: bool
    """False in a folder of images whose rate nobody knows."""
    stretches: tuple[Stretch, ...] = ()
    """The stretches of the video that its frames lie in, in order; none where no background is wanted."""

    @property
    def orders(self) -> Range:
        """The range of `start` … `stop` among the frames of the video that are worked on."""
        start, stop = np.searchsorted(self.worked, (self.start, self.stop))
        return self.before + int(start), self.before + int(stop)

    def detected_on(self, order: int) -> int:
        """The frame whose detections frame `order` has; both are numbers among the frames that are worked on."""
        return int(self.detected[min(order - self.before, len(self.detected) - 1)])

    @property
    def earlier(self) -> int:
        """Number of the last frame before `start` that is worked on; -1 where there is none."""
        place = int(np.searchsorted(self.worked, self.start))
        return int(self.worked[place - 1]) if place else -1


def cut_shards(
    video: Video,
    timeline: Timeline,
    shard_frames: int,
    *,
    start: int = 0,
    stop: int | None = None,
    fps: float = 0.0,
    detector_fps: float = 0.0,
    background: bool = False,
) -> Iterator[Shard]:
    """Cut frames `start` … `stop` of a video into shards of at most `shard_frames`, in order.

    `fps`: rate at which frames are worked on (WorkingConfig.fps). `detector_fps`: rate at which networks detect on them
    (DetectorConfig.fps). Where nobody knows the times, all frames are worked on and detected on.
    `background`: name the frames that a background is made of, and those that show if a clock is burnt in.
    """
    stop = timeline.frame_count if stop is None else min(stop, timeline.frame_count)
    worked = worked_frames(timeline, fps)
    detected = detection_frames(timeline.pts_s[worked], detector_fps if timeline.timed else 0.0)
    stretches = _Stretches(video, timeline)
    for begin in range(start, stop, shard_frames):
        end = min(begin + shard_frames, stop)
        low, high = (int(order) for order in np.searchsorted(worked, (begin, end)))
        # What is detected for the frames around a shard whose boxes it needs may lie farther out than they do.
        before = min(max(0, low - HALO_BEFORE), int(detected[max(0, low - BOXES_BEFORE)]))
        after = max(high + HALO_AFTER, int(detected[min(len(worked), high + BOXES_AFTER) - 1]) + 1)
        shard = _shard(
            video,
            timeline,
            (begin, end),
            worked[before:after].copy(),
            before=before,
            detected=detected[before:after].copy(),
            fps=fps if timeline.timed else 0.0,
        )
        yield replace(shard, stretches=stretches.around(shard)) if background else shard


def _shard(
    video: Video, timeline: Timeline, frames: Range, own: Numbers, *, before: int, detected: Numbers, fps: float
) -> Shard:
    """The shard of `frames`, for which the frames `own` are worked on."""
    begin, end = frames
    more = int(timeline.interlaced)
    first, last = min(int(own[0]), begin), max(int(own[-1]) + 1, end)
    around = max(0, first - more), min(timeline.frame_count, last + more)
    pts, packets = (
        None if array is None else array[slice(*around)].copy() for array in (timeline.pts, timeline.packets)
    )
    return Shard(
        video=video,
        start=begin,
        stop=end,
        first=first,
        last=last,
        frame_count=timeline.frame_count,
        width=timeline.width,
        height=timeline.height,
        pts_s=timeline.pts_s[first:last].copy(),
        around=around,
        pts=pts,
        seek_pts=() if pts is None else timeline.keyframes_before(int(pts[0])),
        packets=packets,
        restart=timeline.restart_before(around[0]),
        rotate=timeline.rotate,
        interlaced=timeline.interlaced,
        skip_loop_filter=timeline.skip_loop_filter,
        names=timeline.names[first:last],
        worked=own,
        before=before,
        detected=detected,
        fps=fps,
        timed=timeline.timed,
    )


class _Stretches:
    """The stretches of a video. The last one is kept: most shards lie in that of the shard before."""

    def __init__(self, video: Video, timeline: Timeline) -> None:
        self._video, self._timeline = video, timeline
        self._last: tuple[int, Stretch] | None = None

    def around(self, shard: Shard) -> tuple[Stretch, ...]:
        """The stretches that the frames of a shard, and those around it, lie in, in order."""
        return tuple(map(self._stretch, dict.fromkeys(map(_stretch_number, shard.pts_s.tolist()))))

    def _stretch(self, number: int) -> Stretch:
        if self._last is None or self._last[0] != number:
            self._last = number, self._cut(number)
        return self._last[1]

    def _cut(self, number: int) -> Stretch:
        """Stretch `number`, from 0."""
        timeline = self._timeline
        start, stop = (bisect_left(timeline.pts_s, edge, key=_stretch_number) for edge in (number, number + 1))
        chosen, runs = _samples(timeline, start, stop)
        seconds, decoded = _seconds(timeline, start, stop), np.split(chosen, runs)
        if len(decoded) == 1:  # frames from the first to the last are decoded for the samples anyhow
            samples = self._shard(np.unique(np.concatenate([chosen, *seconds])))
            return Stretch(start, (samples,), chosen, (), seconds)
        return Stretch(start, tuple(map(self._shard, decoded)), chosen, tuple(map(self._shard, seconds)), seconds)

    def _shard(self, own: Numbers) -> Shard:
        """Frames of the video that are decoded as one."""
        frames = int(own[0]), int(own[-1]) + 1
        return _shard(self._video, self._timeline, frames, own, before=frames[0], detected=own, fps=1.0)


def _stretch_number(pts_s: float) -> int:
    """Number, from 0, of the stretch that a frame lies in, by its time."""
    return int(pts_s // STRETCH_S)


def _samples(timeline: Timeline, start: int, stop: int) -> tuple[Numbers, Numbers]:
    """Numbers of the sampled frames of a stretch, and the places in them at which decoding begins anew.

    Keyframes cost a tenth of other frames, so they are taken where there are enough. With fewer, in more frames than
    DECODED, samples are spread over the beginnings of what lies between keyframes. Otherwise the stretch is decoded
    from its first sample to its last.
    """
    spread = start + (np.arange(SAMPLES) + 0.5) * (stop - start) / SAMPLES
    frames = np.unique(spread.astype(np.int64))
    if timeline.names:
        return frames, np.arange(1, len(frames))
    if timeline.pts is not None and timeline.keyframes is not None:
        starts = np.searchsorted(timeline.pts, timeline.keyframes)
    else:
        starts = np.array([0, *(restart.frame for restart in timeline.restarts)], np.int64)
    starts = np.unique(starts[(starts >= start) & (starts < stop)])
    if len(starts) < SAMPLES // 2:
        if len(starts) < FEW_KEYFRAMES or frames[-1] - frames[0] < DECODED:
            return frames, np.empty(0, np.int64)
        each = -(-SAMPLES // len(starts))
        decoded = np.minimum(np.diff(np.append(starts, stop)), DECODED // len(starts))
        frames = np.unique(starts[:, None] + np.arange(each) * decoded[:, None] // each)
        return frames, np.searchsorted(frames, starts[1:])
    places = np.searchsorted(starts, frames, side="right") - 1
    keys = np.unique(starts[np.maximum(places, 0)])
    return keys, np.arange(1, len(keys))


def _seconds(timeline: Timeline, start: int, stop: int) -> tuple[Numbers, ...]:
    """Numbers of the frames of a stretch's first and last seconds. The last seconds of a short one begin before it."""
    pts_s = timeline.pts_s
    ends = bisect_left(pts_s, pts_s[start] + CLOCK_S), stop
    begins = start, bisect_left(pts_s, pts_s[stop - 1] - CLOCK_S)
    if timeline.names or pts_s[stop - 1] - pts_s[begins[1]] < CLOCK_LEAST_S:
        return ()
    windows = zip(begins, ends, strict=True) if ends[0] < stop else [(begins[1], stop)]
    return tuple(begin + sampled(pts_s[begin:end], CLOCK_FPS) for begin, end in windows)


def worked_frames(timeline: Timeline, fps: float) -> Numbers:
    """Numbers of the frames of a video that are worked on at `fps` (WorkingConfig.fps)."""
    return sampled(timeline.pts_s, fps if timeline.timed else 0.0)
