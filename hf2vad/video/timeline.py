"""The timeline of a video: its frames' times, found by reading packets without decoding them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.archive.stills import counted_places, frame_names
from hf2vad.errors import VideoError
from hf2vad.storage import join, list_dir, read_bytes
from hf2vad.video.container import STREAMS, opened, readable_by_us, video_stream, video_streams
from hf2vad.video.counting import BEGINNING, Counted, Restart, count_frames
from hf2vad.video.images import decode_image, image_header
from hf2vad.video.packets import PROGRESSIVE, in_order, read_packets
from hf2vad.video.times import Repair, repaired, usual_fps
from hf2vad.video.upright import UPRIGHT, turn_of

FIRST_TRIES = 10
"""Images of a folder that are looked at to learn its frame size, when the first ones are damaged."""

IMAGE_BYTES = 8
"""Bytes of a file for each pixel that it may have: 16 bits for each of red, green, blue and opacity, not compressed."""
UNTIMED_FPS = 25.0
"""Frames a second that the times of a folder of images are made up by, where nobody knows its rate."""
DEFAULT_LIMITS = LimitsConfig()
DEFAULT_DECODE = DecodeConfig()


@dataclass(frozen=True, eq=False)
class Timeline:
    """Data of a video that is known before a frame is scored, 16 bytes a frame.

    On its way between processes it is packed, so that it stays out of Ray's object store, which counts as memory of the
    driver: even spacing takes a fraction of a byte a frame, and no bit is lost.
    """

    frame_count: int
    width: int
    height: int
    """Size of the first frame, upright; later ones may have another."""
    pts_s: npt.NDArray[np.float64]
    """(frames,): presentation times, seconds from the first frame, ascending."""
    pts: npt.NDArray[np.int64] | None = None
    """(frames,): the same in the stream's time base, of a file whose packets say all; else none."""
    keyframes: npt.NDArray[np.int64] | None = None
    """Frame numbers at which decoding can start."""
    packets: npt.NDArray[np.int64] | None = None
    """(frames,): numbers of the frames' packets, of a file whose frames were counted by decoding it; else none."""
    restarts: tuple[Restart, ...] = ()
    """Restart points of the file beside its beginning."""
    names: tuple[str, ...] = ()
    """File names of the images."""
    timed: bool = True
    """False for a folder of images whose rate nobody knows: its times are made up."""
    promised: int = 0
    """Frames that the file's header promises, less those that it hides or marks as dropped; 0 when it does not say."""
    rotate: bool = True
    """True if frames are turned upright."""
    interlaced: bool = False
    """True if frames pass through the deinterlacer."""
    skip_loop_filter: str = "none"
    """Pictures that are decoded without deblocking (DecodeConfig.skip_loop_filter)."""
    pixel_aspect: tuple[int, int] = (1, 1)
    """Width to height of a pixel on a screen, upright."""
    repairs: tuple[Repair, ...] = ()
    """Times that are not the frames' own, and numbers of images that are missing."""
    chosen: str = ""
    """Index of the video stream, if the file has several."""

    @property
    def counted(self) -> bool:
        """True if frames were counted by decoding them."""
        return self.packets is not None

    @property
    def truncated(self) -> str | None:
        """Note on a file that holds fewer frames than its header promises."""
        if self.promised <= self.frame_count:
            return None
        return f"truncated: its header promises {self.promised} frames, {self.frame_count} are there"

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height of the first frame with square pixels."""
        across, high = self.pixel_aspect
        return max(1, round(self.width * across / high)), self.height

    @property
    def usual_fps(self) -> float:
        """Frames a second by their median step; 0 where nobody knows the times."""
        return usual_fps(self.pts_s) if self.timed else 0.0

    @property
    def notes(self) -> dict[str, Any]:
        """Notes for tables on unusual properties of the video."""
        aspect = {"pixel_aspect": list(self.pixel_aspect)} if self.pixel_aspect != (1, 1) else {}
        return aspect | ({"stream": self.chosen} if self.chosen else {})

    def keyframes_before(self, pts: int) -> tuple[int, ...]:
        """Times of the last keyframe at or before `pts` and, if there is one, of the one before it."""
        assert self.keyframes is not None
        end = int(np.searchsorted(self.keyframes, pts, side="right"))
        return tuple(int(time) for time in self.keyframes[max(0, end - 2) : end][::-1])

    def restart_before(self, frame: int) -> Restart:
        """The last place that decoding gives `frame` from."""
        return max((restart for restart in self.restarts if restart.frame <= frame), default=BEGINNING)

    def __reduce__(self) -> tuple[Callable[..., Timeline], tuple[dict[str, Any], dict[str, _Packed]]]:
        values = dict(vars(self))
        arrays = ("pts_s", "pts", "keyframes", "packets")
        packed = {name: _pack(values.pop(name)) for name in arrays if values[name] is not None}
        return _unpickled, (values, packed)


_Packed = tuple[str, bytes]
"""Type of an array of 8-byte numbers, and the compressed second differences of their bits as integers."""


def _pack(values: npt.NDArray[Any]) -> _Packed:
    bits = values.view(np.int64)
    return values.dtype.str, zlib.compress(np.diff(np.diff(bits, prepend=0), prepend=0).tobytes(), level=1)


def _unpack(packed: _Packed) -> npt.NDArray[Any]:
    kind, data = packed
    return np.frombuffer(zlib.decompress(data), np.int64).cumsum().cumsum().view(kind)


def _unpickled(values: dict[str, Any], packed: dict[str, _Packed]) -> Timeline:
    return Timeline(**(values | {name: _unpack(array) for name, array in packed.items()}))


def probe(
    video: Video,
    *,
    image_fps: float = 0.0,
    limits: LimitsConfig = DEFAULT_LIMITS,
    decode: DecodeConfig = DEFAULT_DECODE,
) -> Timeline:
    """Count and time the frames of `video`. `image_fps`: rate of folders of images; 0: nobody knows it, and their times
    are made up, UNTIMED_FPS frames a second.

    Raises VideoError when it is no video, has no frame that can be read, or is larger than `limits`.
    """
    with readable_by_us(video.id):
        images = video.kind == "images"
        timeline = _probe_images(video, image_fps, limits, decode) if images else _probe_file(video, limits, decode)
    if timeline.pts_s[-1] > 3600 * limits.hours:
        raise VideoError(f"{video.id}: {timeline.pts_s[-1] / 3600:.1f} hours, limits.hours allows {limits.hours:g}")
    return timeline


def _probe_images(video: Video, image_fps: float, limits: LimitsConfig, decode: DecodeConfig) -> Timeline:
    fps = image_fps or UNTIMED_FPS
    sizes = {entry.name: entry.size for entry in list_dir(video.uri) if not entry.is_dir and entry.name[0] != "."}
    names = frame_names(sizes)
    _check_count(video, len(names), limits)
    for name in names:
        if sizes[name] > IMAGE_BYTES * limits.pixels:
            raise VideoError(f"{video.id}: image {name!r} has {sizes[name]:,} bytes, too many for limits.pixels")
    places = counted_places(names)
    repairs = tuple(
        Repair("gap", int(i), int(i) + 1, (places[i] - places[i - 1] - 1) / fps)
        for i in np.flatnonzero(np.diff(places, prepend=-1) > 1)
    )
    for name in names[:FIRST_TRIES]:
        data = read_bytes(join(video.uri, name))
        header = image_header(data)
        if header is not None:
            _check_size(video, header.width, header.height, limits)
            turn = header.turn if decode.rotate else UPRIGHT
            if decode_image(data, header) is not None:
                size = turn.size(header.width, header.height)
                return Timeline(
                    len(names),
                    *size,
                    places / fps,
                    names=tuple(names),
                    timed=image_fps > 0,
                    rotate=decode.rotate,
                    repairs=repairs,
                )
    raise VideoError(f"{video.id}: none of its first {min(len(names), FIRST_TRIES)} images can be decoded")


def _check_size(video: Video, width: int, height: int, limits: LimitsConfig) -> None:
    if width * height > limits.pixels:
        raise VideoError(f"{video.id}: frames of {width}×{height} pixels, limits.pixels allows {limits.pixels:,}")
    if not width * height:
        raise VideoError(f"{video.id}: its header gives no frame size")


def _check_count(video: Video, frames: int, limits: LimitsConfig) -> None:
    if frames > limits.frames:
        raise VideoError(f"{video.id}: more frames than limits.frames allows, {limits.frames:,}")


def _probe_file(video: Video, limits: LimitsConfig, decode: DecodeConfig) -> Timeline:
    with opened(video, pixels=limits.pixels) as container:
        stream = video_stream(container, video)
        _check_size(video, stream.codec_context.width, stream.codec_context.height, limits)
        packets = read_packets(video, container, stream, most=limits.frames)
        _check_count(video, len(packets.times), limits)
        pts = in_order(packets, container, stream)
        if pts is None:
            return _probe_counting(video, container, stream, limits, decode)
        seconds = (pts - pts[0]) * float(stream.time_base or 0)
        seconds, repairs = repaired(seconds, step=1 / _rate(stream), reordered=False)
        return Timeline(
            len(pts),
            pts_s=seconds,
            pts=pts,
            keyframes=np.unique(np.array(packets.keys, np.int64)),
            promised=stream.frames if stream.frames > packets.all else 0,
            repairs=repairs,
            **_described(container, stream, packets.first, decode),
        )


def _probe_counting(
    video: Video, container: InputContainer, stream: VideoStream, limits: LimitsConfig, decode: DecodeConfig
) -> Timeline:
    """Count frames by decoding them all."""
    counted = count_frames(video, pixels=limits.pixels, most=limits.frames)
    _check_count(video, len(counted.packets), limits)
    if counted.first is None:
        raise VideoError(f"{video.id}: no frame can be decoded")
    name, base = container.format.name, stream.time_base or Fraction(1)
    rate = (counted.rate if name in STREAMS.split(",") else None) or _rate(stream)
    seconds = (counted.times - next(iter(counted.times[~np.isnan(counted.times)]), 0.0)) / float(1 / base)
    seconds, repairs = repaired(seconds, step=1 / rate, reordered=stream.codec_context.has_b_frames)
    if name == "avi":  # FFmpeg has made its times up, in the order of decoding
        repairs = tuple(repair for repair in repairs if repair.kind != "time_order")
    return Timeline(
        len(seconds),
        pts_s=seconds - seconds[0],
        packets=counted.packets,
        restarts=counted.restarts,
        promised=_promised(name, stream, counted),
        repairs=repairs,
        **_described(container, stream, counted.first, decode, interlaced=counted.interlaced),
    )


def _described(
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame | None,
    decode: DecodeConfig,
    *,
    interlaced: bool = False,
) -> dict[str, Any]:
    """Picture properties from a stream and its first frame."""
    context = stream.codec_context
    coded = (context.width, context.height) if first is None else (first.width, first.height)
    turn = turn_of(first) if first is not None and decode.rotate else UPRIGHT
    width, height = turn.size(*coded)
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    flagged = interlaced or context.field_order > PROGRESSIVE or (first is not None and first.interlaced_frame)
    return {
        "width": width,
        "height": height,
        "rotate": decode.rotate,
        "interlaced": flagged and decode.deinterlace == "auto",
        "skip_loop_filter": decode.skip_loop_filter,
        "pixel_aspect": turn.size(aspect.numerator, aspect.denominator) if aspect > 0 else (1, 1),
        "chosen": _chosen(container, stream),
    }


def _chosen(container: InputContainer, stream: VideoStream) -> str:
    streams = video_streams(container)
    if len(streams) == 1:
        return ""
    context = stream.codec_context
    return (
        f"{streams.index(stream) + 1} of {len(streams)} video streams, the largest: "
        f"{context.name} {context.width}×{context.height}"
    )


def _rate(stream: VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)


def _promised(container: str, stream: VideoStream, counted: Counted) -> int:
    """Frames that the header promises where some of them are missing, else 0.

    Frames that are hidden or damaged have packets all the same. AVI has none for frames that were dropped when
    recording, but counts them in its times.
    """
    read = counted.read
    if container == "avi" and len(counted.times):
        ticks = np.sort(counted.times[~np.isnan(counted.times)])
        read = int(ticks[-1] + np.median(np.diff(ticks))) if len(ticks) > 1 else read
    return stream.frames if stream.frames > read else 0


def shown_seconds(times: list[float], frames: int) -> float:
    """Seconds that `frames` frames are on screen, from the times of the first and the last."""
    return (times[-1] - times[0]) * frames / (frames - 1) if frames > 1 else 0.0
