"""Report on what scoring an archive would do, without scoring it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hf2vad.archive.catalog import Video
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK
from hf2vad.errors import Hf2vadError
from hf2vad.plurals import count_words
from hf2vad.threads import in_threads
from hf2vad.video.timeline import Timeline, probe

THREADS = 4
"""Videos that are looked at at once."""


def list_archive(
    videos: Iterator[Video], passed: PassedOver, *, image_fps: float, limits: LimitsConfig, decode: DecodeConfig
) -> int:
    """Print each of `videos` with its frames and length, and what listing them passed over; returns the exit code."""
    look = partial(looked_at, image_fps=image_fps, limits=limits, decode=decode)
    count = frames = failed = 0
    seconds = 0.0
    for video, found in in_threads(look, videos, THREADS):
        count += 1
        if isinstance(found, str):
            failed += 1
            print(f"failed: {video.id!r}: {found}")
            continue
        frames += found.frame_count
        seconds += float(found.pts_s[-1])
        print(f"{video.id!r}: {', '.join(_facts(found))}")
    for line in passed.lines():
        print(line)
    rest = f"; {failed:,} cannot be read" if failed else ""
    read = f"{count_words(count, 'video')}, {count_words(frames, 'frame')}, {seconds / 3600:.2f} hours"
    print(f"{read}{rest}; {passed.total:,} passed over")
    return EXIT_FAILURES if failed else EXIT_OK


def looked_at(
    video: Video, *, image_fps: float, limits: LimitsConfig, decode: DecodeConfig
) -> tuple[Video, Timeline | str]:
    """A video, and its timeline or why it has none."""
    try:
        return video, probe(video, image_fps=image_fps, limits=limits, decode=decode)
    except Hf2vadError as error:
        return video, " ".join(str(error).split())


def _facts(timeline: Timeline) -> Iterator[str]:
    yield count_words(timeline.frame_count, "frame")
    yield f"{timeline.pts_s[-1]:,.2f} s"
    yield f"{timeline.width}×{timeline.height}"
    if timeline.interlaced:
        yield "deinterlaced"
    if timeline.counted:
        yield "counted by decoding"
    if timeline.chosen:
        yield timeline.chosen
    if timeline.truncated:
        yield timeline.truncated
    yield from (f"{repair.kind} at frame {repair.start}" for repair in timeline.repairs)
