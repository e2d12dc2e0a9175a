"""Cubes of a shard: decoding, boxes, flow and crops as one stream with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, pairwise, repeat

import numpy as np
import numpy.typing as npt

from hf2vad.archive.catalog import Video
from hf2vad.archive.zones import NO_ZONES, CameraZones
from hf2vad.cubes.carry import carried
from hf2vad.cubes.cut import at_edge, cut_cubes
from hf2vad.cubes.detect import NO_FRAME_BOXES, BoxFinder, FrameBoxes
from hf2vad.cubes.detectors.detector import Detections, FrameContext, Neighbours
from hf2vad.cubes.detectors.motion import blurred, evened
from hf2vad.cubes.flow import FlowEstimator, flow_regions, moving_parts
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.cubes.working import Working
from hf2vad.errors import VideoError
from hf2vad.heap import give_back_freed
from hf2vad.profile import span, spans
from hf2vad.schema import F32, FRAMES, U8, CubeBatch, FrameStatus
from hf2vad.threads import prefetch
from hf2vad.video.background import Background, Backgrounds
from hf2vad.video.decode import Frame, decode
from hf2vad.video.sampled import tempo
from hf2vad.video.shards import BOXES_AFTER, Shard, cut_shards
from hf2vad.video.steady import Motion, in_grey
from hf2vad.video.timeline import Timeline

AHEAD = 4
"""Frames that decoding, finding boxes and flow may each be ahead of the step after them."""


OnFrame = Callable[[int, U8 | None, tuple[int, int]], None] | None
"""Callback for each frame: its number, its (H, W) grey picture (None if it cannot be decoded), and its width and height
before scaling."""

TRIM_EVERY = 50
"""Frames after which freed memory is given back."""


@dataclass(eq=False)
class _Prepared:
    """A frame, and what is computed of it once for all cubes that it is part of."""

    frame: Frame
    """Laid on its background where the camera sways."""
    grey: U8 | None
    """(H, W), none where the picture cannot be decoded."""
    background: Background | None
    """None where no detector reads it, and nothing is laid on it."""
    motion: Motion | None
    """Motion from the background to where the frame was; None where it was not moved."""
    blurred: U8 | None
    """(H, W) as `Neighbours` has it; none where no detector needs it."""
    enlarged: U8 | None = None
    """The grey frame at the size that flow is computed at; none until a cube needs a flow from or to it."""
    flow: F32 | None = None
    """(H, W, 2) flow from the frame before that is worked on; none until a cube needs it."""
    per_frame: tuple[float, float] | None = None
    """Factors, across and down, that make of a vector of that flow pixels from one frame to the other."""
    detections: Sequence[Detections] | None = None
    """Detections of networks in it; none until a frame needs them."""


@dataclass(frozen=True)
class _Boxed:
    """A frame with its boxes, and the frames and flows that its cubes are cut from."""

    frame: Frame
    status: FrameStatus
    boxes: FrameBoxes
    """N boxes; none where the frame has none, or cannot be looked at."""
    kept: npt.NDArray[np.bool_]
    """(N,): which of them neither a zone nor burnt-in text drops. The others decide with them where flow is computed,
    so that a zone changes no other box's cube."""
    recent: Sequence[_Prepared]
    """The frame and the four before it; fewer without full context."""

    @property
    def makes_cubes(self) -> bool:
        """True if cubes are cut from the frame."""
        return self.status == "scored" and bool(self.kept.any())


class Extractor:
    """Cuts cubes as `config` says. Keeps the detector warm from shard to shard; one belongs to one thread."""

    def __init__(self, config: ExtractionConfig, boxes_uri: str = "", *, threads: int = 1) -> None:
        """`boxes_uri`: Parquet file for the detector `boxes`. `threads`: processor threads of a detector's network;
        decoding and flow have one each besides.

        Raises ConfigError for a detector that cannot be used, MismatchError for a file that is not the one which
        `config` was resolved with.
        """
        self._config = config
        self._finder = BoxFinder(config, boxes_uri, threads=threads)
        self._ahead = 0 if config.flow.region == "frame" else BOXES_AFTER
        """Frames before and after a shard whose boxes decide where its flow is computed."""
        working = config.working
        self._backgrounds = Backgrounds(working.size, steady=working.steady, clock=working.clock)

    def shards(
        self, video: Video, timeline: Timeline, length: int, *, start: int = 0, stop: int | None = None
    ) -> Iterator[Shard]:
        """Frames `start` … `stop` of a video in shards of at most `length`, as `cubes` takes them."""
        return cut_shards(video, timeline, length, start=start, stop=stop, **self._config.cutting)

    def cubes(
        self, shard: Shard, look: OnFrame = None, zones: CameraZones = NO_ZONES
    ) -> Generator[CubeBatch, None, None]:
        """The cubes of `shard`: one batch a frame, in order; without cubes where it has none or is not worked on.

        `zones` drop boxes, and change nothing of the cubes of those that stay. `look` is called for each frame that is
        worked on, those of the halo too, in another thread, before the stream ends.

        Decoding, finding boxes and flow run in threads of their own. Flow between two frames is computed only when a
        cube needs it, and with regions `boxes` and `moving` only where one does. Memory depends on the size of a frame
        and the boxes in it, not on the length of the shard. Raises VideoError when the video cannot be read.
        """
        with closing(prefetch(self._flowing(shard, look, zones), depth=AHEAD, name="flow")) as ready:
            following = shard.start
            for count, boxed in enumerate(ready, 1):
                if count % TRIM_EVERY == 0:
                    give_back_freed()
                yield from _between(shard, following, boxed.frame.index)
                yield self._cut(boxed)
                following = boxed.frame.index + 1
            yield from _between(shard, following, shard.stop)

    def _flowing(self, shard: Shard, look: OnFrame, zones: CameraZones) -> Iterator[_Boxed]:
        """The frames that the shard answers for, with the flows that their cubes need."""
        size = (shard.width, shard.height)
        estimator = self._estimator(shard, size)
        ahead = self._ahead
        start, stop = shard.orders
        window: deque[_Boxed | None] = deque(maxlen=FRAMES - 1 + ahead)
        with closing(prefetch(self._boxed(shard, look, zones), depth=AHEAD, name="boxes")) as boxed:
            for latest in chain(boxed, repeat(None, ahead)):
                window.append(latest)
                current = window[-1 - ahead] if len(window) > ahead else None
                if current is None or not start <= current.frame.order < stop:
                    continue
                if current.makes_cubes:
                    if current.frame.size != size:
                        size = current.frame.size
                        estimator = self._estimator(shard, size)
                    with span("flow"):
                        self._add_flows(current, [item for item in window if item is not None], estimator, shard.fps)
                yield current

    def _add_flows(self, boxed: _Boxed, window: Sequence[_Boxed], estimator: FlowEstimator, fps: float) -> None:
        """Compute the flows of a frame's cubes that no frame before it needed. `window` holds all frames whose cubes
        need one of them. Flow is motion in 1 / fps seconds, or from frame to frame where that is 0."""
        for before, after in pairwise(boxed.recent):
            if after.flow is not None:
                continue
            if self._config.flow.region == "frame":
                after.flow = estimator.between(_enlarged(before, estimator), _enlarged(after, estimator))
            else:
                assert before.grey is not None
                assert after.grey is not None
                grey = evened(before.grey, after.grey) if self._config.motion.even_light else before.grey
                pair = range(after.frame.order, after.frame.order + FRAMES - 1)
                of_pair = [item for item in window if item.frame.order in pair and _same_size(item, after)]
                boxes = np.concatenate([item.boxes.in_working for item in of_pair])
                if self._config.flow.region == "moving":
                    boxes = moving_parts(boxes, grey, after.grey, self._config.motion.threshold / 2)
                regions = flow_regions(boxes, estimator.size, self._config.flow.margin)
                after.flow = estimator.around(grey, after.grey, regions)
            faster = tempo(after.frame.pts_s - before.frame.pts_s, fps) if fps else 1.0
            if fps:
                after.flow *= np.float32(faster)
            across, down = estimator.per_frame
            after.per_frame = across / faster, down / faster

    def _estimator(self, shard: Shard, size: tuple[int, int]) -> FlowEstimator:
        """Flow estimator for frames that have `size` (width, height) before scaling."""
        working = Working.of(self._config.working, *size)
        width, height = working.size
        try:
            return FlowEstimator(self._config.flow, width=width, height=height, source=working.source)
        except VideoError as error:
            raise VideoError(f"{shard.video.id}: {error}") from None

    def _boxed(self, shard: Shard, look: OnFrame, zones: CameraZones) -> Iterator[_Boxed]:
        """The frames that the shard answers for, and those before and after whose boxes decide where flow is
        computed, with their boxes."""
        start, stop = shard.orders
        first, stop = start - self._ahead, stop + self._ahead
        near: dict[int, _Prepared] = {}
        order = shard.before
        with closing(prefetch(self._prepared(shard, look), depth=AHEAD, name="decode")) as prepared:
            for latest in chain(prepared, [None]):
                if latest is not None:
                    near[latest.frame.order] = latest
                while order in near and (
                    latest is None or latest.frame.order >= max(order + 1, shard.detected_on(order))
                ):
                    if first <= order < stop:
                        yield self._with_boxes(shard, near, order, zones)
                    order += 1
                    for passed in range(min(near), min(order - FRAMES + 1, shard.detected_on(order))):
                        del near[passed]

    def _prepared(self, shard: Shard, look: OnFrame) -> Iterator[_Prepared]:
        neighbours = self._finder.needs_neighbours
        last = shard.orders[1] + self._ahead
        stop = max(last + neighbours, shard.detected_on(last - 1) + 1)
        for frame in spans("decode", decode(shard, self._config.working.size)):
            if frame.order >= stop:
                return
            background = None if frame.image is None else self._backgrounds.at(shard, frame.index)
            with span("convert"):
                grey = None if frame.image is None else in_grey(frame.image)
                if look is not None:
                    look(frame.index, grey, frame.size)
                frame, grey, motion = _laid(frame, grey, background)
                smooth = blurred(grey, self._config.motion) if grey is not None and neighbours else None
            yield _Prepared(frame, grey, background, motion, smooth)

    def _with_boxes(self, shard: Shard, near: Mapping[int, _Prepared], order: int, zones: CameraZones) -> _Boxed:
        """Frame `order` with its boxes; `near` are the frames around it by their numbers."""
        recent = tuple(near[number] for number in range(order - FRAMES + 1, order + 1) if number in near)
        frame, status = recent[-1].frame, _status(recent)
        if frame.image is None or (status != "scored" and not (self._ahead and frame.order >= FRAMES - 1)):
            return _Boxed(frame, status, NO_FRAME_BOXES, np.empty(0, np.bool_), recent)
        item = recent[-1]
        working = replace(Working.of(self._config.working, *frame.size), motion=item.motion)
        neighbours = None
        if (current := item.blurred) is not None:
            earlier, later = (
                other.blurred if other is not None and other.frame.size == frame.size else None
                for other in (near.get(order - 1), near.get(order + 1))
            )
            neighbours = Neighbours(before=earlier, current=current, after=later)
        context = FrameContext(
            video=shard.video.id,
            index=frame.index,
            image=frame.image,
            neighbours=neighbours,
            background=None if item.background is None else item.background.picture,
        )
        with span("boxes"):
            detections = self._detections(shard, item, near[shard.detected_on(order)])
            boxes = self._finder.boxes(context, working, detections)
        kept = zones.keeps(boxes.in_source, frame.size)
        if item.background is not None and item.background.picture.shape == frame.image.shape:
            kept = kept & item.background.shows(boxes.in_working)
        return _Boxed(frame, status, boxes, kept, recent)

    def _detections(self, shard: Shard, item: _Prepared, source: _Prepared) -> Sequence[Detections]:
        """Detections of networks in `source`, carried to `item`.

        Where `source` cannot be decoded or has another size, they are those of `item` itself.
        """
        if source.grey is None or source.frame.size != item.frame.size:
            source = item
        if source.detections is None:
            assert source.frame.image is not None
            context = FrameContext(video=shard.video.id, index=source.frame.index, image=source.frame.image)
            source.detections = self._finder.detections(context)
        if source is item:
            return source.detections
        assert source.grey is not None
        assert item.grey is not None
        min_area = self._config.detector.min_area
        return [carried(each, source.grey, item.grey, min_area) for each in source.detections]

    def _cut(self, boxed: _Boxed) -> CubeBatch:
        """The cubes of a frame; none where it makes none."""
        frame, boxes = boxed.frame, boxed.boxes.part(boxed.kept)
        if not boxed.makes_cubes:
            return CubeBatch.empty(frame=frame.index, pts_s=frame.pts_s, status=boxed.status)
        images = [item.frame.image for item in boxed.recent if item.frame.image is not None]
        flows = [item.flow for item in boxed.recent[1:] if item.flow is not None]
        per_frame = [item.per_frame for item in boxed.recent[1:] if item.per_frame is not None]
        with span("cut"):
            follow = per_frame if self._config.flow.follow else None
            kept, appearance, flow = cut_cubes(boxes.in_working, images, flows, follow)
        return CubeBatch(
            frame=frame.index,
            pts_s=frame.pts_s,
            status=boxed.status,
            boxes=boxes.in_source[kept],
            appearance=appearance,
            flow=flow,
            dropped=len(boxes) - len(appearance),
            classes=boxes.classes[kept],
            class_scores=boxes.class_scores[kept],
            at_edge=at_edge(boxes.in_source[kept], frame.size),
        )


def _between(shard: Shard, start: int, stop: int) -> Iterator[CubeBatch]:
    """Frames `start` … `stop`, none of which is worked on."""
    for frame in range(start, stop):
        yield CubeBatch.empty(frame=frame, pts_s=float(shard.pts_s[frame - shard.first]), status="between")


def _status(recent: Sequence[_Prepared]) -> FrameStatus:
    """Tell whether the last of `recent` frames can be scored. Frames of another size are no context."""
    sizes = {item.frame.size for item in recent if item.grey is not None}
    if recent[-1].frame.order < FRAMES - 1 or len(sizes) > 1:
        return "no_context"
    complete = len(recent) == FRAMES and all(item.grey is not None for item in recent)
    return "scored" if complete else "undecodable"


def _same_size(boxed: _Boxed, prepared: _Prepared) -> bool:
    return boxed.frame.size == prepared.frame.size


def _laid(frame: Frame, grey: U8 | None, background: Background | None) -> tuple[Frame, U8 | None, Motion | None]:
    """A frame and its grey picture as the background has it laid, and how the frame lay."""
    if background is None or grey is None or frame.image is None:
        return frame, grey, None
    image, motion = background.laid(frame.image, grey)
    return (frame, grey, None) if image is frame.image else (replace(frame, image=image), in_grey(image), motion)


def _enlarged(item: _Prepared, estimator: FlowEstimator) -> U8:
    if item.enlarged is None:
        assert item.grey is not None
        item.enlarged = estimator.prepare(item.grey)
    return item.enlarged
