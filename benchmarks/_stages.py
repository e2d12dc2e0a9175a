"""The clips that extraction is measured on, and the time of its stages one after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from hf2vad.archive.catalog import catalogue
from hf2vad.archive.settings import LimitsConfig
from hf2vad.cubes.cut import cut_cubes
from hf2vad.cubes.detectors.motion import blurred, motion_boxes
from hf2vad.cubes.flow import FlowEstimator
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.cubes.working import Working
from hf2vad.demo.archive import render_clip
from hf2vad.demo.street import Street
from hf2vad.presets import preset
from hf2vad.schema import F32, FRAMES, U8
from hf2vad.video.container import decode_packets, opened, video_stream
from hf2vad.video.decode import Converter
from hf2vad.video.shards import Shard, cut_shards
from hf2vad.video.timeline import probe

STAGES = ("decode", "convert", "grey and blur", "flow", "boxes", "cut")
NO_BOXES = np.empty((0, 4), np.float32)
Cut = tuple[F32, list[U8], list[F32]]
"""What is cut for one frame: boxes, five frames, four flows."""


def settings(scale: float = 1.0) -> ExtractionConfig:
    chosen = preset("compact").extraction
    return replace(chosen, flow=replace(chosen.flow, preset="fast", scale=scale))


def clip(folder: Path, width: int, height: int, frames: int) -> Shard:
    """The clip of a size as one shard; rendered unless it is there."""
    path = folder / f"{width}x{height}_{frames}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scene = Street(width, height, seed=0)
        with av.open(str(path), "w") as container:
            options = {"preset": "veryfast", "crf": "23", "g": "50"}
            stream = container.add_stream("libx264", rate=Fraction(scene.fps).limit_denominator(1000), options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in render_clip(scene, "runner", frames=frames, seed=[0, 2, 0]):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
            container.mux(stream.encode(None))
    (video,) = catalogue(str(path))
    (shard,) = cut_shards(video, probe(video), frames)
    return shard


@dataclass
class Laps:
    """Seconds of each stage, added up."""

    seconds: dict[str, float]

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - started


def stages(shard: Shard, config: ExtractionConfig, cuts: list[Cut] | None = None) -> dict[str, float]:
    """Seconds of each stage over the clip, one after the other; what is cut is added to `cuts`."""
    lap = Laps(dict.fromkeys(STAGES, 0.0))
    working = Working.of(config.working, shard.width, shard.height)
    width, height = working.size
    estimator = FlowEstimator(config.flow, width=width, height=height, source=working.source)
    convert = Converter(config.working.size)
    window: deque[tuple[U8, U8, U8, F32 | None]] = deque(maxlen=FRAMES + 1)
    with opened(shard.video, pixels=LimitsConfig().pixels) as container:
        stream = video_stream(container, shard.video)
        decoded = decode_packets(container.demux(stream), stream)
        while True:
            with lap("decode"):
                frame = next(decoded, None)
            if frame is None:
                return lap.seconds
            with lap("convert"):
                image = convert(frame)
            assert image is not None
            with lap("grey and blur"):
                grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
                blur = blurred(grey, config.motion)
            flow = None
            with lap("flow"):
                large = estimator.prepare(grey)
                if window:
                    flow = estimator.between(window[-1][2], large)
            window.append((image, blur, large, flow))
            if len(window) < FRAMES + 1:
                continue
            with lap("boxes"):
                before, current, after = (entry[1] for entry in list(window)[-3:])
                boxes = motion_boxes(before, current, after, NO_BOXES, config.motion)
            past = list(window)[:-1]
            images, flows = [entry[0] for entry in past], [entry[3] for entry in past[1:] if entry[3] is not None]
            with lap("cut"):
                cut_cubes(boxes, images, flows)
            if cuts is not None:
                cuts.append((boxes, images, flows))
