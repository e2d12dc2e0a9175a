"""Short clips around events, H.264 in mp4 as browsers play it: without and with the scored boxes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hf2vad.errors import VideoError
from hf2vad.evidence.footage import Footage, fitted
from hf2vad.evidence.objects import Range
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.schema import F32, U8
from hf2vad.video.encode import Encoder
from hf2vad.video.timeline import Timeline

WIDTH = 640
"""Pixels of a clip's width, at most."""
CRF = 26
"""Loss of the clips."""
ORANGE, WHITE = (12, 89, 232), (255, 255, 255)


def clip_range(event: Mapping[str, Any], timeline: Timeline, scored: Range, config: EvidenceConfig) -> Range:
    """The frames of an event's clip: some seconds around it, but no longer than allowed, and then around its peak."""
    start_s, stop_s = event["start_s"] - config.clip_seconds, event["end_s"] + config.clip_seconds
    if stop_s - start_s > config.clip_longest:
        latest = stop_s - config.clip_longest
        start_s = min(max(event["peak_s"] - config.clip_longest / 2, start_s), latest)
        stop_s = start_s + config.clip_longest
    first = int(np.searchsorted(timeline.pts_s, start_s - 1e-6, side="left"))
    last = int(np.searchsorted(timeline.pts_s, stop_s + 1e-6, side="right"))
    return max(first, scored[0]), min(last, scored[1])


def clip_files(footage: Footage, start: int, stop: int) -> dict[str, bytes]:
    """clip.mp4 and clip_boxes.mp4 of frames `start` … `stop`; the first frame is at 0 s, the others at their own times.

    The highest scoring box of a frame is orange, the others are white. Frames that cannot be decoded are left out: the
    one before is shown longer. Raises VideoError when there is no frame, or no encoder.
    """
    size = fitted(footage.shape, WIDTH, even=True)
    written = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("clip.mp4", "clip_boxes.mp4")]
        with contextlib.ExitStack() as opened:
            plain, boxed = (opened.enter_context(contextlib.closing(Encoder(path, size, CRF))) for path in paths)
            for frame in footage.frames(start, stop, size):
                if frame.image is not None:
                    time = frame.pts_s - float(footage.timeline.pts_s[start])
                    plain.add(frame.image, time)
                    boxed.add(_with_boxes(frame.image, footage, frame.index, size), time)
                    written += 1
        if not written:
            raise VideoError(f"{footage.video.id}: no frame of {start}-{stop} can be decoded")
        return {path.name: path.read_bytes() for path in paths}


def _with_boxes(image: U8, footage: Footage, frame: int, size: tuple[int, int]) -> U8:
    drawn = image.copy()
    for box, colour in _coloured(footage, frame, size):
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, 2)
    return drawn


def _coloured(footage: Footage, frame: int, size: tuple[int, int]) -> Iterator[tuple[F32, tuple[int, int, int]]]:
    """The boxes of a frame, the highest scoring one last, so that it lies above the others."""
    boxes = footage.boxes(frame, size)
    score = footage.objects.table["score"].to_numpy()[footage.objects.of(frame, frame + 1)]
    order = np.argsort(score, kind="stable")
    for number in order:
        yield boxes[number], ORANGE if number == order[-1] else WHITE
