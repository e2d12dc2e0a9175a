"""Interlaced pictures as progressive ones, by FFmpeg's bwdif, the same whatever shard they are decoded in.

A picture is made of itself and its two neighbours, so a shard decodes one more on each side. A picture that is missing,
of another size or of another format begins anew: nothing is taken from across it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

Picture = tuple[int, VideoFrame | None]
"""Number of a frame in its video, and its picture; none where it is missing."""

FILTER = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
"""One picture out for each one in; those that are not flagged as interlaced stay as they are."""


def deinterlaced(pictures: Iterator[Picture], *, goes_on: bool) -> Iterator[Picture]:
    """`pictures`, consecutive ones, without combs. `goes_on`: the last one has a successor, and is not given out."""
    run: _Run | None = None
    for index, frame in pictures:
        if run is not None and (frame is None or run.kind != _kind(frame)):
            yield from run.rest()
            run = None
        if frame is None or frame.is_corrupt:
            if run is not None:
                yield from run.rest()
                run = None
            yield index, frame
            continue
        run = run or _Run(frame)
        yield from run.put(index, frame)
    if run is not None and not goes_on:
        yield from run.rest()


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


class _Run:
    """Pictures of one kind without a gap, on their way through a filter of their own."""

    def __init__(self, frame: VideoFrame) -> None:
        self.kind = _kind(frame)
        self._waiting: list[int] = []
        self._put = 0
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        bwdif, sink = self._graph.add(*FILTER), self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()

    def put(self, index: int, frame: VideoFrame) -> Iterator[Picture]:
        self._waiting.append(index)
        frame.pts, frame.time_base = self._put, Fraction(1, 25)
        self._put += 1
        self._graph.vpush(frame)
        yield from self._ready()

    def rest(self) -> Iterator[Picture]:
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Picture]:
        while self._waiting:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield self._waiting.pop(0), frame
