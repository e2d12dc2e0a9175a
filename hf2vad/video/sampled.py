"""Choice of the frames to work on (`working.fps`) and to detect on (`detector.fps`): by their times, independent of the
shard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hf2vad.schema import F64

Numbers = npt.NDArray[np.int64]

DETECTED_APART = 16
"""Frames from one that is detected on to the next, at most, whatever their times: as many are held in memory."""


def sampled(pts_s: F64, fps: float) -> Numbers:
    """Numbers of the frames that are nearest to the times 0, 1 / fps, 2 / fps, …; of all frames where fps is 0.

    pts_s: (frames,) ascending times in seconds from the first frame. Of footage with fewer frames a second, all.
    """
    if not fps or len(pts_s) < 2:
        return np.arange(len(pts_s))
    steps = np.diff(pts_s)
    edges = np.concatenate([pts_s[:1] - steps[:1] / 2, pts_s[:-1] + steps / 2, pts_s[-1:] + steps[-1:] / 2])
    ticks = np.ceil(edges * fps)
    return np.flatnonzero(ticks[1:] > ticks[:-1])


def detection_frames(pts_s: F64, fps: float) -> Numbers:
    """(frames,): for each frame, the number of the frame whose detections it has.

    This is the nearest of the frames that are detected on, the earlier of two that are equally near. Those are
    `sampled` at `fps`, and more where they are DETECTED_APART frames apart. With fps 0 it is the frame itself.
    """
    numbers = np.arange(len(pts_s))
    if not fps:
        return numbers
    detected = sampled(pts_s, fps)
    following = np.append(detected[1:], len(pts_s))
    wide = np.flatnonzero(following - detected > DETECTED_APART)
    within = [np.arange(detected[i], following[i], DETECTED_APART) for i in wide]
    detected = np.unique(np.concatenate([detected, *within]))
    return np.asarray(detected[np.searchsorted((detected[:-1] + detected[1:]) // 2, numbers)], np.int64)


def tempo(seconds: float, fps: float) -> float:
    """Factor for flow between frames `seconds` apart that makes it motion in 1 / fps seconds.

    At most 2: frames closer than half of that are a fault of their times.
    """
    return min(2.0, 1.0 / (fps * seconds))


def packed(worked: Numbers, start: int, stop: int) -> str:
    """Frames `start` … `stop` that are among `worked`, as hexadecimal digits."""
    mask = np.zeros(stop - start, np.bool_)
    mask[worked[(worked >= start) & (worked < stop)] - start] = True
    return np.packbits(mask).tobytes().hex()


def unpacked(digits: str, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """(stop − start,): the inverse of `packed`."""
    bits = np.frombuffer(bytes.fromhex(digits), np.uint8)
    return np.unpackbits(bits, count=stop - start).astype(np.bool_)


def holders(between: npt.NDArray[np.bool_]) -> Numbers:
    """(frames,): the last frame up to each that is not `between`; a frame before all of those itself."""
    places = np.arange(len(between))
    last = np.maximum.accumulate(np.where(between, -1, places))
    return np.where(last < 0, places, last)
