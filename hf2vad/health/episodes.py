"""Episodes of unhealthy footage, from the statistics of all frames of a video and their times.

Kinds, and what `value` is of each: docs/operations.md, Footage health. `time_order`, `time_doubled` and `time_missing`
say nothing of pictures, so no frame is marked by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from hf2vad.health.moves import MoveFinder
from hf2vad.health.settings import HealthConfig
from hf2vad.health.steps import gaps, odd_rates
from hf2vad.health.still import StillFinder
from hf2vad.schema import F64, HEALTH, THUMBNAIL_SHAPE, HealthKind, pack_metadata
from hf2vad.video.shards import HALO_BEFORE, LOOK_AHEAD
from hf2vad.video.times import Repair, median_step

KINDS: tuple[HealthKind, ...] = get_args(HealthKind)
HARMLESS: frozenset[HealthKind] = frozenset({"time_order", "time_doubled", "time_missing"})
"""Kinds of episodes that concern times alone and do not make a score doubtful."""


@dataclass(frozen=True)
class Episode:
    """Frames `start` … `stop` (exclusive) of a video, and what is wrong with them."""

    kind: HealthKind
    start: int
    stop: int
    value: float | None


@dataclass
class _Lights:
    """Runs of frames that look alike in being undecodable, black or blinded."""

    kind: HealthKind | None = None
    start: int = 0
    stop: int = 0
    level: float = 0.0

    def see(self, frame: int, kind: HealthKind | None, level: float) -> Iterator[Episode]:
        if kind != self.kind or frame != self.stop:
            yield from self.end()
            self.kind, self.start, self.level = kind, frame, 0.0
        self.stop = frame + 1
        self.level += level

    def end(self) -> Iterator[Episode]:
        if self.kind is not None:
            count = self.stop - self.start
            yield Episode(
                self.kind, self.start, self.stop, float(count) if np.isnan(self.level) else self.level / count
            )
        self.kind = None


@dataclass
class _Walk:
    """One pass over the looks of a video; holds a few thumbnails and no look."""

    config: HealthConfig
    pts_s: F64
    first: int
    width: int
    height: int
    lights: _Lights = field(default_factory=_Lights)

    def __post_init__(self) -> None:
        self.still = StillFinder(self.config)
        self.moves = MoveFinder(self.config.moved)

    def see(self, looks: pa.Table) -> Iterator[Episode]:
        figures = {name: looks[name].to_numpy() for name in ("frame", "level", "contrast", "change", "changed")}
        thumbnails = looks["thumbnail"]
        for i, frame in enumerate(map(int, figures["frame"])):
            level, contrast = float(figures["level"][i]), float(figures["contrast"][i])
            yield from self.lights.see(frame, self._light(level, contrast), level)
            dark = not contrast > self.config.contrast
            packed = None if dark else thumbnails[i].as_py()
            thumbnail = None if packed is None else np.frombuffer(packed, np.uint8).reshape(THUMBNAIL_SHAPE)
            change = np.inf if dark else float(figures["change"][i])
            yield from self._frozen(self.still.see(frame, change, float(figures["changed"][i]), thumbnail))
            if thumbnail is not None:
                yield from self._moved(self.moves.see(frame, thumbnail))

    def end(self) -> Iterator[Episode]:
        yield from self.lights.end()
        yield from self._frozen(self.still.end())
        yield from self._moved(self.moves.end())

    def _light(self, level: float, contrast: float) -> HealthKind | None:
        if np.isnan(level):
            return "undecodable"
        if contrast > self.config.contrast:
            return None
        return "black" if level <= self.config.black else "blinded"

    def _frozen(self, runs: Iterable[tuple[int, int]]) -> Iterator[Episode]:
        for start, stop in runs:
            lasts = float(self.pts_s[stop - 1 - self.first] - self.pts_s[max(0, start - 1 - self.first)])
            if lasts >= self.config.frozen_s:
                yield Episode("frozen", start, stop, lasts)

    def _moved(self, moves: Iterable[Any]) -> Iterator[Episode]:
        for move in moves:
            pixels = move.shift and float(np.hypot(move.shift[0] * self.width, move.shift[1] * self.height))
            yield Episode("moved", move.start, move.stop, pixels)


def find_episodes(
    looks: Iterable[pa.Table], config: HealthConfig, *, start: int, pts_s: F64, width: int, height: int
) -> list[Episode]:
    """The unhealthy stretches of frames `start` … `start + len(pts_s)`, by their start.

    looks: tables of the kind `looks`, one a shard, in order; frames that none has are not judged by their pictures.
    pts_s: (frames,) presentation times in seconds. `width`, `height`: of a frame, in pixels. The same however the video
    is cut into shards.
    """
    walk = _Walk(config, pts_s, start, width, height)
    found = [episode for table in looks for episode in walk.see(table)]
    found += walk.end()
    found += [Episode("gap", start + at, start + at + 1, more) for at, more in gaps(pts_s, config.gap)]
    found += [Episode("rate", start + a, start + b, rate) for a, b, rate in odd_rates(pts_s, config)]
    return _in_order(found)


def with_facts(
    episodes: Sequence[Episode], repairs: Iterable[Repair], sizes: Sequence[tuple[int, int, int]]
) -> list[Episode]:
    """`episodes`, and what the timeline and the sizes of pictures say beside them.

    repairs: of the times of these frames. sizes: from which frame on which width and height hold.
    """
    there = {(episode.kind, episode.start) for episode in episodes}
    found = [Episode(repair.kind, repair.start, repair.stop, repair.value) for repair in repairs]
    found += [Episode("resized", frame, frame + 1, float(width)) for frame, width, _ in sizes[1:]]
    return _in_order([*episodes, *(each for each in found if (each.kind, each.start) not in there)])


def _in_order(episodes: Iterable[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda episode: (episode.start, KINDS.index(episode.kind), episode.stop))


def affected(episodes: Iterable[Episode], *, start: int, frames: int, step: int = 1) -> list[HealthKind | None]:
    """Kind of the episode that the cubes of each frame touch; the first in KINDS if there are several.

    A frame's cubes reach back over four frames that are worked on, and its motion boxes one ahead; those are at most
    `step` frames apart.
    """
    kinds: list[HealthKind | None] = [None] * frames
    marking = (episode for episode in episodes if episode.kind not in HARMLESS)
    for episode in sorted(marking, key=lambda episode: -KINDS.index(episode.kind)):
        first = max(0, episode.start - step * LOOK_AHEAD - start)
        last = min(frames, episode.stop + step * HALO_BEFORE - start)
        kinds[first:last] = [episode.kind] * max(0, last - first)
    return kinds


def health_table(
    video: str, episodes: Iterable[Episode], *, start: int, pts_s: F64, metadata: Mapping[str, Any]
) -> pa.Table:
    """The table `health` of a video."""
    ends = np.append(pts_s, pts_s[-1:] + median_step(pts_s))
    rows = [
        {
            "video": video,
            "kind": episode.kind,
            "start_frame": episode.start,
            "stop_frame": episode.stop,
            "start_s": float(ends[episode.start - start]),
            "stop_s": float(ends[episode.stop - start]),
            "value": episode.value,
        }
        for episode in episodes
    ]
    return pa.Table.from_pylist(rows, schema=HEALTH.with_metadata(pack_metadata("health", metadata)))
