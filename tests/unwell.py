"""Clips of the demo's street with something wrong with the footage, in H.264."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from hf2vad.demo.archive import render_clip
from hf2vad.demo.street import Street
from hf2vad.schema import U8

FRAMES, FPS = 200, 12.5
WIDTH, HEIGHT = 240, 180
MARGIN = 40
"""Pixels of the street around the picture, for a camera that turns."""


@lru_cache(maxsize=2)
def street(seed: int = 0) -> list[U8]:
    """People who walk, all normal, in a larger picture than a clip's."""
    scene = Street(WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN, seed=seed)
    return [frame.image for frame in render_clip(scene, None, frames=FRAMES, seed=[seed, 1, 0])]


def view(image: U8, dx: int = 0, dy: int = 0) -> U8:
    """What a camera turned by so many pixels sees of the street."""
    return np.ascontiguousarray(image[MARGIN + dy :][:HEIGHT, MARGIN + dx :][:, :WIDTH])


def normal() -> list[U8]:
    return [view(image) for image in street()]


def frozen(start: int, stop: int) -> list[U8]:
    """The picture before `start` again and again."""
    images = normal()
    return [images[start - 1] if start <= t < stop else image for t, image in enumerate(images)]


def replaced(start: int, stop: int, level: int) -> list[U8]:
    """One grey level with the sensor's noise: darkness, a cap, a lamp."""
    noise = np.random.default_rng(0).normal(level, 2.5, (stop - start, HEIGHT, WIDTH, 1))
    plain = np.repeat(np.clip(noise, 0, 255).astype(np.uint8), 3, axis=3)
    return [plain[t - start] if start <= t < stop else image for t, image in enumerate(normal())]


def moved(at: int, dx: int, dy: int, *, frames: int = 0) -> list[U8]:
    """A camera that turns at frame `at`, all at once or during `frames`."""
    shares = [float(np.clip((t - at + 1) / max(1, frames), 0, 1)) for t in range(FRAMES)]
    return [view(image, round(dx * share), round(dy * share)) for image, share in zip(street(), shares, strict=True)]


def turned_away(at: int) -> list[U8]:
    """A camera that looks at another street from frame `at` on, upside down."""
    other = [view(image)[::-1, ::-1] for image in street(1)]
    return [np.ascontiguousarray(other[t]) if t >= at else image for t, image in enumerate(normal())]


def write(path: Path, images: Sequence[U8], *, crf: int = 23, milliseconds: Sequence[int] | None = None) -> Path:
    """H.264 with B-frames and a keyframe every 50, at 12.5 frames a second or at those times."""
    base = Fraction(1, 1000)
    times = milliseconds or [80 * t for t in range(len(images))]
    options = {"crf": str(crf), "preset": "veryfast", "g": "50"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25, 2), options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", base
        stream.codec_context.thread_count = 1
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
