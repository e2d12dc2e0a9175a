"""A small video of two things that move, and what extraction gives for it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.archive.zones import NO_ZONES, CameraZones
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig, MotionConfig
from hf2vad.schema import U8, CubeBatch
from hf2vad.video.timeline import probe

WIDTH, HEIGHT, COUNT = 96, 72, 45
MOTION = ExtractionConfig(motion=MotionConfig(blur=3, min_area=40))
BOXES = ExtractionConfig(detector=DetectorConfig(kinds=("boxes",)))
AROUND = FlowConfig(region="boxes", margin=4)
MOVING = FlowConfig(region="moving", margin=4, preset="fast_half", scale=1.0)


def scene(count: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[U8]:
    """Two things that cross a textured ground, with sensor noise."""
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(rng.integers(40, 160, (height, width, 3), np.uint8), (7, 7), 0)
    thing = rng.integers(120, 256, (20, 14, 3), np.uint8)
    for t in range(count):
        image = ground.copy()
        for x, y in ((2 * t % (width - 14), 8), ((width - 14 - 3 * t) % (width - 14), height - 30)):
            image[y : y + 20, x : x + 14] = thing
        yield np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def write_video(path: Path, frames: Iterator[U8], *, rate: int = 25) -> None:
    """H.264 with B-frames and a keyframe every 12 frames, so that shards begin between keyframes.

    Without x264's macroblock tree, with which the same pictures give other bytes from run to run.
    """
    with av.open(str(path), "w") as container:
        stream = None
        for image in frames:
            if stream is None:
                options = {"bf": "2", "g": "12", "crf": "20", "threads": "1", "x264-params": "mbtree=0"}
                stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        assert stream is not None
        container.mux(stream.encode(None))


def only_video(folder: Path | str, name: str = "") -> Video:
    (video,) = [v for v in catalogue(str(folder)) if not name or v.id == name]
    return video


def extract(
    video: Video,
    length: int,
    extractor: Extractor,
    *,
    start: int = 0,
    stop: int | None = None,
    zones: CameraZones = NO_ZONES,
) -> list[CubeBatch]:
    shards = extractor.shards(video, probe(video), length, start=start, stop=stop)
    return [batch for shard in shards for batch in extractor.cubes(shard, zones=zones)]


def content(batches: list[CubeBatch]) -> list[tuple[Any, ...]]:
    return [
        (b.frame, b.pts_s, b.status, b.dropped, b.boxes.tobytes(), b.appearance.tobytes(), b.flow.tobytes())
        for b in batches
    ]
