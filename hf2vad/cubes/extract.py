"""A shard in, its cubes out: decoding, flow, boxes and cutting as one stream of bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from hf2vad.archive.shards import Shard
from hf2vad.archive.video import Frame, decode
from hf2vad.cubes.cut import cut_cubes
from hf2vad.cubes.detect import BoxFinder
from hf2vad.cubes.detectors.motion import blurred
from hf2vad.cubes.flow import FlowEstimator
from hf2vad.cubes.opencv import cv2
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.cubes.working import Working
from hf2vad.errors import VideoError
from hf2vad.heap import give_back_freed
from hf2vad.profile import span, spans
from hf2vad.schema import F32, FRAMES, U8, CubeBatch
from hf2vad.threads import prefetch

AHEAD = 4
"""Frames that decoding, and flow, may be ahead of the step after them."""


Look = Callable[[int, U8 | None, tuple[int, int]], None] | None
"""What may look at each frame: its number, its (H, W) grey picture, none when it cannot be decoded, and the width and
height that it had before it was scaled."""

TRIM_EVERY = 50
"""Frames after which freed memory is given back."""


@dataclass(frozen=True)
class _Prepared:
    """A frame with what is computed of it once."""

    frame: Frame
    blurred: U8 | None
    enlarged: U8 | None
    estimator: FlowEstimator | None = None
    """What gives flow between frames of its size."""
    flow: F32 | None = None
    """Flow from the frame before."""


class Extractor:
    """Cuts cubes as `config` says. Keeps the detector warm from shard to shard; one belongs to one thread."""

    def __init__(self, config: ExtractionConfig, boxes_uri: str = "") -> None:
        self._config = config
        self._finder = BoxFinder(config, boxes_uri)

    def cubes(self, shard: Shard, look: Look = None) -> Generator[CubeBatch, None, None]:
        """One batch for every frame of `shard`, in order.

        `look` is called for each frame, those of the halo too, in another thread, before the stream ends.

        Decoding and flow run in threads of their own. Memory depends on the size of a frame and the boxes in it, not
        on the length of the shard. Raises VideoError when the video cannot be read.
        """
        window: deque[_Prepared] = deque(maxlen=FRAMES + 1)
        with closing(prefetch(self._flowing(shard, look), depth=AHEAD, name="flow")) as prepared:
            for count, latest in enumerate(prepared, 1):
                if count % TRIM_EVERY == 0:
                    give_back_freed()
                window.append(latest)
                if len(window) > 1:
                    yield from self._batch(shard, list(window)[:-1], latest)
            if window:
                yield from self._batch(shard, list(window)[-FRAMES:], None)

    def _flowing(self, shard: Shard, look: Look) -> Iterator[_Prepared]:
        """Prepared frames with their flow, for those whose cubes are wanted. None leads across a change of size."""
        with closing(prefetch(self._prepared(shard, look), depth=AHEAD, name="decode")) as prepared:
            before: _Prepared | None = None
            for item in prepared:
                flow = None
                estimator = item.estimator if before is not None and before.estimator is item.estimator else None
                if estimator and before and before.enlarged is not None and item.enlarged is not None:
                    with span("flow"):
                        flow = estimator.between(before.enlarged, item.enlarged)
                before = item
                yield replace(item, enlarged=None, flow=flow)

    def _prepared(self, shard: Shard, look: Look) -> Iterator[_Prepared]:
        estimator, size = self._estimator(shard, (shard.width, shard.height)), (shard.width, shard.height)
        for frame in spans("decode", decode(shard, self._config.working.size)):
            answered = frame.index < shard.stop
            if not answered and not self._finder.needs_motion:
                return
            with span("convert"):
                image = frame.image
                grey = None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
                if look is not None:
                    look(frame.index, grey, frame.size)
                if grey is None:
                    prepared = _Prepared(frame, None, None)
                else:
                    if frame.size != size:
                        estimator, size = self._estimator(shard, frame.size), frame.size
                    blur = blurred(grey, self._config.motion) if self._finder.needs_motion else None
                    prepared = _Prepared(frame, blur, estimator.prepare(grey) if answered else None, estimator)
            yield prepared

    def _estimator(self, shard: Shard, size: tuple[int, int]) -> FlowEstimator:
        """Flow between frames of `size`, before they are scaled."""
        working = Working.of(self._config.working, *size)
        width, height = working.size
        try:
            return FlowEstimator(self._config.flow, width=width, height=height, source=working.source)
        except VideoError as error:
            raise VideoError(f"{shard.video.id}: {error}") from None

    def _batch(self, shard: Shard, past: Sequence[_Prepared], after: _Prepared | None) -> Iterator[CubeBatch]:
        """The cubes of the last frame of `past`, if it is one that the shard answers for."""
        frame = past[-1].frame
        if not shard.start <= frame.index < shard.stop:
            return
        recent = past[-FRAMES:]
        sizes = {item.frame.size for item in recent if item.frame.image is not None}
        if frame.index < FRAMES - 1 or len(sizes) > 1:
            yield CubeBatch.empty(frame=frame.index, pts_s=frame.pts_s, status="no_context")
            return
        images = [item.frame.image for item in recent if item.frame.image is not None]
        flows = [item.flow for item in recent[1:] if item.flow is not None]
        if len(images) < FRAMES:
            yield CubeBatch.empty(frame=frame.index, pts_s=frame.pts_s, status="undecodable")
            return
        working = Working.of(self._config.working, *frame.size)
        following = after.blurred if after is not None and after.frame.size == frame.size else None
        neighbours = (recent[-2].blurred, recent[-1].blurred, following)
        with span("boxes"):
            boxes = self._finder.boxes(shard.video.id, frame.index, images[-1], neighbours)
        if self._finder.in_source_pixels:
            in_source, in_working = boxes, working.from_source(boxes)
        else:
            in_source, in_working = working.to_source(boxes), boxes
        with span("cut"):
            kept, appearance, flow = cut_cubes(in_working, images, flows)
        yield CubeBatch(
            frame=frame.index,
            pts_s=frame.pts_s,
            status="scored",
            boxes=in_source[kept],
            appearance=appearance,
            flow=flow,
            dropped=len(boxes) - len(appearance),
        )
