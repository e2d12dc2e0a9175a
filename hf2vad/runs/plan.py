"""Plan of `hf2vad run`: footage to learn from and to score, and an estimate of time and disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hf2vad.archive.catalog import Video
from hf2vad.archive.parts import Parts, archive_camera
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.place import RecorderCameras
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.plurals import count_words
from hf2vad.progress import duration
from hf2vad.runs.dry_run import looked_at
from hf2vad.threads import in_threads

SAMPLED = 50
"""Videos that are opened to say how long an archive is."""
QUIET, BUSY = 400.0, 40.0
"""Frames that a core works through in a second where little moves, and on a busy street (docs/performance.md)."""
CUBE_BYTES = 31_000
"""Size of a cube in the table that is learned from."""
CUBES_A_FRAME = 3.0
"""Cubes of a busy frame."""
SCORE_BYTES = 300
"""Size of a frame's rows in the tables of scores."""
FIXED_SHARE = 0.1
"""Share of the time that learning takes, and making the site, each."""


@dataclass(frozen=True)
class Footage:
    """An amount of video."""

    seconds: float
    frames: float

    def times(self, share: float) -> Footage:
        """A share of it."""
        return Footage(self.seconds * share, self.frames * share)

    def plus(self, other: Footage) -> Footage:
        """Both together."""
        return Footage(self.seconds + other.seconds, self.frames + other.frames)


@dataclass(frozen=True)
class RunPlan:
    """Work of a run, estimated from the length of some of its videos."""

    videos: int
    cameras: int
    learned: Footage
    scored: Footage
    most: int
    """Cubes of a camera that are learned from, at most."""
    learns: bool
    """True if there is anything left to learn."""
    recorders: RecorderCameras
    """Cameras that names of files and folders give."""

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Share of the time that reading, learning, scoring and making the site take."""
        learned, scored = self._learned_frames, self.scored.frames
        rest = (1 - 2 * FIXED_SHARE) / max(learned + scored, 1.0)
        return rest * learned, FIXED_SHARE, rest * scored, FIXED_SHARE

    def lines(self, passed: PassedOver) -> Iterator[str]:
        """For people: what there is, what it takes, and what is passed over."""
        yield (
            f"{count_words(self.videos, 'video')} of {count_words(self.cameras, 'camera')}: "
            f"{length(self.learned.seconds)} to learn from, {length(self.scored.seconds)} to score"
        )
        cores = os.cpu_count() or 1
        processors = count_words(cores, "core")
        frames = self._learned_frames + self.scored.frames
        least, most = (duration(frames / pace / cores) for pace in (QUIET, BUSY))
        cubes = min(CUBES_A_FRAME * self._learned_frames, self.most * self.cameras)
        space = cubes * CUBE_BYTES + self.scored.frames * SCORE_BYTES
        yield f"about {least} (little moves) to {most} (a busy street) on {processors}; up to {_size(space)} of disk"
        yield from self.recorders.lines()
        yield from passed.lines()

    @property
    def _learned_frames(self) -> float:
        """Frames that are looked at to learn from; at about a cube a frame, a camera has enough with `most`."""
        return min(self.learned.frames, float(self.most * self.cameras)) if self.learns else 0.0


def planned(
    videos: Sequence[Video],
    parts: Parts,
    share: float,
    limits: LimitsConfig,
    *,
    image_fps: float,
    most: int,
    learns: bool,
) -> RunPlan:
    """The plan for `videos`; `share`: how much of a video is learned from that is both learned from and scored."""
    pace = _per_byte(videos, limits, image_fps)
    older, shared, newer = (
        pace.times(sum(video.size for video in some))
        for some in (parts.learned_whole(videos), parts.shared(videos), parts.scored_whole(videos))
    )
    recorders = RecorderCameras()
    for video in videos:
        recorders.note(video.path)
    return RunPlan(
        videos=len(videos),
        cameras=len({archive_camera(video) for video in videos}),
        learned=older.plus(shared.times(share)),
        scored=newer.plus(shared.times(1 - share)),
        most=most,
        learns=learns,
        recorders=recorders,
    )


def _per_byte(videos: Sequence[Video], limits: LimitsConfig, image_fps: float) -> Footage:
    """Footage in a byte of `videos`, by some of them, evenly spread; none where none of them can be opened."""
    some = videos[:: -(-len(videos) // SAMPLED)]
    look = partial(looked_at, image_fps=image_fps, limits=limits, decode=DecodeConfig())
    read = [(video, found) for video, found in in_threads(look, iter(some), 4) if not isinstance(found, str)]
    size = max(1, sum(video.size for video, _ in read))
    seconds = sum(float(timeline.pts_s[-1]) for _, timeline in read)
    return Footage(seconds, sum(timeline.frame_count for _, timeline in read)).times(1 / size)


def length(seconds: float) -> str:
    """A length of footage: "58 seconds", "12 min", "3 h 05 min"."""
    return f"{round(seconds)} seconds" if seconds < 120 else duration(seconds)


def _size(size: float) -> str:
    """A size that people read: "120 MB", "3.4 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
