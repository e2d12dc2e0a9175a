"""Report on what scoring an archive would do, without scoring it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hf2vad.archive.catalog import Video
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK
from hf2vad.errors import Hf2vadError, NotFoundError
from hf2vad.plurals import count_words
from hf2vad.storage import list_dir, read_json
from hf2vad.tables.layout import records_folder
from hf2vad.threads import in_threads
from hf2vad.video.timeline import Timeline, probe
from hf2vad.walk.candidates import Candidates

THREADS = 4
"""Videos that are looked at at once."""
SHOWN = 20
"""New videos that are named."""
RECORDS = 5
"""Records of earlier runs that an estimate comes from, the last ones."""


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


def list_new(candidates: Candidates, *, limit: int, out: str) -> int:
    """Print new videos, and an estimate from the records of earlier runs at `out`; returns the exit code.

    limit: videos that the run would score, at most; 0: all.
    """
    count = size = finished = 0
    passed = PassedOver()
    for video, is_finished in candidates.looked_up(passed):
        if is_finished:
            finished += 1
            continue
        count, size = count + 1, size + video.size
        if count <= SHOWN:
            print(f"new: {video.id!r}")
        if count == limit:
            break
    if count > SHOWN:
        print(f"... and {count - SHOWN} more")
    for line in passed.lines():
        print(line)
    pace = _seconds_per_byte(out)
    hours = "no earlier run to estimate hours from" if pace is None else f"about {size * pace / 3600:.2f} hours"
    print(f"{count_words(count, 'new video')}, {size / 2**30:.2f} GiB, {hours}; {finished:,} finished before")
    return EXIT_OK


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


def _seconds_per_byte(out: str) -> float | None:
    """Seconds that the latest runs took per byte of video. None if there are none."""
    try:
        names = sorted(entry.uri for entry in list_dir(records_folder(out)) if entry.name.endswith(".json"))
    except NotFoundError:
        return None
    records = [read_json(uri) for uri in names[-RECORDS:]]
    used = [
        record for record in records if record.get("bytes") and record.get("status") in (None, "finished", "stopped")
    ]
    return sum(r["seconds"] for r in used) / sum(r["bytes"] for r in used) if used else None
