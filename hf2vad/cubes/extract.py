"""A shard in, its cubes out: decoding, flow, boxes and cutting as one stream of bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

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


Look = Callable[[int, U8 | None], None] | None
"""What may look at each frame: its number and its (H, W) grey picture, none when it cannot be decoded."""

TRIM_EVERY = 50
"""Frames after which freed memory is given back."""


@dataclass(frozen=True)
class _Prepared:
    """A frame with what is computed of it once."""

    frame: Frame
    blurred: U8 | None
    enlarged: U8 | None
    flow: F32 | None = None
    """Flow from the frame before."""


class Extractor:
    """Cuts cubes as `config` says. Keeps the detector warm from shard to shard; one belongs to one thread."""

    def __init__(self, config: ExtractionConfig, boxes_uri: str = "", *, threads: int = 1) -> None:
        """`threads`: processor threads of a detector's network; decoding and flow have one each besides."""
        self._config = config
        self._finder = BoxFinder(config, boxes_uri, threads=threads)

    def cubes(self, shard: Shard, look: Look = None) -> Generator[CubeBatch, None, None]:
        """One batch for every frame of `shard`, in order.

        `look` is called for each frame, those of the halo too, in another thread, before the stream ends.

        Decoding and flow run in threads of their own. Memory depends on the size of a frame and the boxes in it, not
        on the length of the shard. Raises VideoError when the video cannot be read.
        """
        working = Working.of(self._config.working, shard.width, shard.height)
        window: deque[_Prepared] = deque(maxlen=FRAMES + 1)
        with closing(prefetch(self._flowing(shard, working, look), depth=AHEAD, name="flow")) as prepared:
            for count, latest in enumerate(prepared, 1):
                if count % TRIM_EVERY == 0:
                    give_back_freed()
                window.append(latest)
                if len(window) > 1:
                    yield from self._batch(shard, working, list(window)[:-1], latest)
            if window:
                yield from self._batch(shard, working, list(window)[-FRAMES:], None)

    def _flowing(self, shard: Shard, working: Working, look: Look) -> Iterator[_Prepared]:
        """Prepared frames with their flow, for those whose cubes are wanted."""
        width, height = working.size
        try:
            estimator = FlowEstimator(self._config.flow, width=width, height=height, source=working.source)
        except VideoError as error:
            raise VideoError(f"{shard.video.id}: {error}") from None
        with closing(prefetch(self._prepared(shard, working, estimator, look), depth=AHEAD, name="decode")) as prepared:
            before: U8 | None = None
            for item in prepared:
                flow = None
                if before is not None and item.enlarged is not None:
                    with span("flow"):
                        flow = estimator.between(before, item.enlarged)
                before = item.enlarged
                yield _Prepared(item.frame, item.blurred, None, flow)

    def _prepared(self, shard: Shard, working: Working, estimator: FlowEstimator, look: Look) -> Iterator[_Prepared]:
        for frame in spans("decode", decode(shard, working.size)):
            answered = frame.index < shard.stop
            if not answered and not self._finder.needs_motion:
                return
            with span("convert"):
                image = frame.image
                grey = None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
                if look is not None:
                    look(frame.index, grey)
                if grey is None:
                    prepared = _Prepared(frame, None, None)
                else:
                    blur = blurred(grey, self._config.motion) if self._finder.needs_motion else None
                    prepared = _Prepared(frame, blur, estimator.prepare(grey) if answered else None)
            yield prepared

    def _batch(
        self, shard: Shard, working: Working, past: Sequence[_Prepared], after: _Prepared | None
    ) -> Iterator[CubeBatch]:
        """The cubes of the last frame of `past`, if it is one that the shard answers for."""
        frame = past[-1].frame
        if not shard.start <= frame.index < shard.stop:
            return
        recent = past[-FRAMES:]
        if frame.index < FRAMES - 1:
            yield CubeBatch.empty(frame=frame.index, pts_s=frame.pts_s, status="no_context")
            return
        images = [item.frame.image for item in recent if item.frame.image is not None]
        flows = [item.flow for item in recent[1:] if item.flow is not None]
        if len(images) < FRAMES:
            yield CubeBatch.empty(frame=frame.index, pts_s=frame.pts_s, status="undecodable")
            return
        neighbours = (recent[-2].blurred, recent[-1].blurred, after.blurred if after else None)
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
