"""The frames of a shard, decoded exactly and once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import cast

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from hf2vad.errors import VideoError
from hf2vad.profile import span
from hf2vad.schema import U8
from hf2vad.storage import join, read_bytes
from hf2vad.video.container import decode_packets, numbered_frames, opened, readable_by_us, video_stream
from hf2vad.video.counting import sought_packets
from hf2vad.video.images import decode_image, image_header, scaled_down
from hf2vad.video.interlaced import Picture, deinterlaced
from hf2vad.video.shards import Shard
from hf2vad.video.timeline import DEFAULT_LIMITS
from hf2vad.video.upright import UPRIGHT, turn_of

EDGE = 64
"""Pixels that a codec's largest blocks may add to a frame's width and height."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    index: int
    """Frame number in the video, from 0."""
    pts_s: float
    """Presentation time, seconds from the video's first frame."""
    image: U8 | None
    """(H, W, 3) BGR, upright; none when it cannot be decoded."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the picture before it was scaled; nothing without an image."""
    order: int = 0
    """Its number among the frames of the video that are worked on, from 0."""


Sized = Callable[[int, int], tuple[int, int]]
"""Function from a picture's own width and height to the wanted ones."""


def as_stored(width: int, height: int) -> tuple[int, int]:
    """The picture's own size."""
    return width, height


def decode(shard: Shard, sized: Sized = as_stored) -> Iterator[Frame]:
    """The frames from `shard.first` to `shard.last` that are worked on, in order; the same pixels whatever the shard.

    Each picture has its own size, or that which `sized` makes of it by averaging areas. Raises VideoError when the
    video cannot be read.
    """
    if shard.names:
        yield from _decode_images(shard, sized)
    else:
        yield from _frames(shard, _timed(shard) if shard.pts is not None else _counted(shard), sized)


def decode_all(shards: Sequence[Shard], sized: Sized = as_stored) -> Iterator[Frame]:
    """The frames of several shards of one video as `decode` gives them.

    The file is opened once where its frames are known by their times, and sought in for each shard.
    """
    if shards[0].names or shards[0].pts is None:
        for shard in shards:
            yield from decode(shard, sized)
        return
    with _container(shards[0]) as (container, stream):
        for shard in shards:
            yield from _frames(shard, _timed_in(container, stream, shard), sized)


def _frames(shard: Shard, pictures: Iterator[Picture], sized: Sized) -> Iterator[Frame]:
    """The frames of a shard's pictures that are worked on, converted."""
    if shard.interlaced:
        pictures = deinterlaced(pictures, goes_on=shard.around[1] < shard.frame_count)
    convert = Converter(sized, rotate=shard.rotate)
    orders = dict(zip(shard.worked.tolist(), count(shard.before), strict=False))
    with readable_by_us(shard.video.id):
        for index, picture in pictures:
            if (order := orders.get(index)) is not None:
                image, size = (None, (0, 0)) if picture is None else convert.sized(picture)
                yield Frame(index, float(shard.pts_s[index - shard.first]), image, size, order)


def _decode_images(shard: Shard, sized: Sized) -> Iterator[Frame]:
    for i, name in enumerate(shard.names):
        data = read_bytes(join(shard.video.uri, name))
        header = image_header(data)
        image, size = None, (0, 0)
        if header is not None and header.width * header.height <= _room(shard):
            image = decode_image(data, header)
        if image is not None and header is not None:
            image = (header.turn if shard.rotate else UPRIGHT).upright(image)
            size = image.shape[1], image.shape[0]
            image = scaled_down(image, sized(*size))
        yield Frame(shard.first + i, float(shard.pts_s[i]), image, size, shard.first + i)


def _timed(shard: Shard) -> Iterator[Picture]:
    """Pictures by their times, in a file whose packets say them."""
    with _container(shard) as (container, stream):
        yield from _timed_in(container, stream, shard)


def _timed_in(container: InputContainer, stream: VideoStream, shard: Shard) -> Iterator[Picture]:
    assert shard.pts is not None
    wanted = None
    if shard.fps and not shard.interlaced:
        wanted = frozenset(shard.pts[shard.worked - shard.around[0]].tolist())
    frames = _timed_frames(container, stream, shard.seek_pts, int(shard.pts[0]), wanted)
    yield from _placed(shard, shard.pts, frames)


def _counted(shard: Shard) -> Iterator[Picture]:
    """Pictures by the numbers of their packets."""
    assert shard.packets is not None
    with _container(shard) as (container, stream):
        packets = sought_packets(container, stream, shard.restart)
        if packets is None:
            raise VideoError(f"{shard.video.id}: changed while it was scored; run again")
        frames = numbered_frames(packets, stream)
        before = shard.restart.skip + shard.around[0] - shard.restart.frame
        yield from _placed(shard, shard.packets, islice(frames, before, None))


@contextlib.contextmanager
def _container(shard: Shard) -> Iterator[tuple[InputContainer, VideoStream]]:
    with opened(shard.video, pixels=_room(shard)) as container:
        stream = video_stream(container, shard.video)
        stream.codec_context.options = {**stream.codec_context.options, "skip_loop_filter": shard.skip_loop_filter}
        yield container, stream


def _placed(shard: Shard, keys: npt.NDArray[np.int64], frames: Iterable[tuple[int, VideoFrame]]) -> Iterator[Picture]:
    """One picture for each of `keys`; none where no frame has it."""
    numbers = keys.tolist()
    following = 0
    for key, frame in frames:
        try:
            place = numbers.index(key, following)
        except ValueError:
            continue
        yield from ((shard.around[0] + missing, None) for missing in range(following, place))
        yield shard.around[0] + place, frame
        following = place + 1
        if following == len(keys):
            return
    yield from ((shard.around[0] + missing, None) for missing in range(following, len(keys)))


def _timed_frames(
    container: InputContainer,
    stream: VideoStream,
    seek_pts: tuple[int, ...],
    first: int,
    wanted: frozenset[int] | None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames from time `first` on, decoded from the first of `seek_pts`, or from the next when that does not give it.

    `wanted`: times that are; others may be missing. None: all are. A stream with gradual refresh has no keyframe that
    is whole: its picture is built up until the next.
    """
    frames: Iterator[tuple[int, VideoFrame]] = iter(())
    start = None
    for pts in seek_pts:
        packets = _packets_from_keyframe(container, stream, pts)
        decoded = decode_packets(packets if wanted is None else _sparing(packets, stream, wanted), stream)
        frames = ((time, frame) for frame in decoded if (time := frame.pts) is not None and time >= first)
        start = next(frames, None)
        if start is not None and start[0] == first:
            break
    if start is not None:
        yield start
        yield from frames


def _packets_from_keyframe(container: InputContainer, stream: VideoStream, pts: int) -> Iterator[Packet[VideoStream]]:
    """Packets from the keyframe with time `pts` on.

    Where a seek lands depends on the container's index, so what it gives before that very packet is dropped, and when
    it has gone too far, packets are read from the start of the file.
    """
    container.seek(pts, stream=stream, backward=True)
    started = False
    for packet in container.demux(stream):
        if not started and packet.is_keyframe and packet.pts == pts:
            started = True
        if not started and packet.is_keyframe and packet.pts is not None and packet.pts > pts:
            break
        if started:
            yield packet
    if started:
        return
    container.seek(0, backward=True)
    for packet in container.demux(stream):
        started = started or (packet.is_keyframe and packet.pts == pts)
        if started:
            yield packet


def _sparing(
    packets: Iterable[Packet[VideoStream]], stream: VideoStream, wanted: frozenset[int]
) -> Iterator[Packet[VideoStream]]:
    """`packets`, of which the decoder passes over those that are neither wanted nor referred to by others."""
    for packet in packets:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted or packet.pts is None else "NONREF"
        yield packet


class Converter:
    """Decoded frames as upright BGR arrays.

    Where they are scaled, FFmpeg does it before it converts colours: a large picture in colour is never made.
    """

    def __init__(self, sized: Sized = as_stored, *, rotate: bool = True) -> None:
        self._sized, self._rotate = sized, rotate
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> U8 | None:
        """(H, W, 3) BGR; none for a damaged frame."""
        return self.sized(frame)[0]

    def sized(self, frame: VideoFrame) -> tuple[U8 | None, tuple[int, int]]:
        """Converted picture, and the width and height that it would have at its own size."""
        if frame.is_corrupt:
            return None, (0, 0)
        turn = turn_of(frame) if self._rotate else UPRIGHT
        size = turn.size(frame.width, frame.height)
        wanted = self._sized(*size)
        width, height = turn.size(*wanted)
        # A frame that keeps its size is converted as it always was: the default, which interpolates nothing.
        how = None if wanted == size else Interpolation.AREA
        with span("convert"):
            image = self._reformatter.reformat(
                frame, width=width, height=height, format="bgr24", interpolation=how, threads=1
            )
            return turn.upright(cast(U8, image.to_ndarray())), size


def _room(shard: Shard) -> int:
    """Pixels that may be decoded as one frame: those of the video, which has passed its limits, and what a decoder adds
    at the edges. No fewer than the usual limit, so that an odd frame is an error that says so; no more, whatever a
    damaged header asks for."""
    return max((shard.width + EDGE) * (shard.height + EDGE), DEFAULT_LIMITS.pixels)
