"""Sampling of each camera's footage: probes a little of it, then extracts as much as gives the wanted number of cubes.

The look works on the first stretches of each camera's sample, and what it puts stays. What it finds decides how many
stretches follow, so the same footage and settings give the same cubes however often a run is stopped, and at any shard
length. What was decided is kept, and used again as long as the footage is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from hf2vad.archive.catalog import Video
from hf2vad.archive.sample import CameraOf, FootageSize, Pick, footage_of, picked
from hf2vad.cluster.dispatch import Cluster
from hf2vad.cluster.stop import Stop
from hf2vad.errors import Hf2vadError
from hf2vad.hashes import hash_of
from hf2vad.plurals import count_words
from hf2vad.progress import duration
from hf2vad.schema import APPEARANCE_BYTES, FLOW_BYTES
from hf2vad.storage import delete, exists, join, open_parquet, put_json, read_json
from hf2vad.tables.layout import list_shards
from hf2vad.tasks.extraction import ExtractionTask
from hf2vad.threads import in_threads
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline
from hf2vad.walk.limits import ShardPlan, WalkLimits
from hf2vad.walk.markers import MarkIndex
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.walk import Walk, WorkerCalls
from hf2vad.walk.worker import leave_video

LOOKS = 8
"""Stretches of each camera that are looked at."""
LOOKED = 64
"""Cameras that are looked at, at most, spread over their names; the others are taken to be like these."""
LEAST = 200
"""Cubes that say how many there are, or an eighth of those that are wanted; where fewer are met, eight times as much is
looked at."""
DENSE = 12.5
"""Cubes a frame. A camera with too few frames for the wanted cubes even so is taken whole, without a look."""
PROBED_BYTES, PROBED_VIDEOS = 64 * 2**20, 16
"""The frames of a camera with no more footage than this are counted."""
THREADS = 4
"""Cameras whose frames are counted at once."""

Counts = dict[str, int | None]
"""Stretches of each camera; None: all of its footage."""


def stretch_frames(most: int) -> int:
    """Frames of a stretch, where `most` cubes of a camera are wanted: 100, and fewer for a small sample."""
    return min(100, max(10, most // 200))


@dataclass(frozen=True)
class Density:
    """Cubes and bytes per frame of a camera, estimated from the probes."""

    stretches: int
    cubes: int
    frames: int
    """Frames of the probed videos."""
    size: int
    """Their bytes."""

    @property
    def each(self) -> float:
        """Cubes of a stretch."""
        return self.cubes / max(1, self.stretches)

    def all_of(self, footage: FootageSize, length: int) -> float:
        """Stretches of `length` frames in all footage of a camera."""
        return footage.size * self.frames / max(1, self.size) / length


@dataclass(kw_only=True)
class FootageSample:
    """The sample of one extraction, in the driver: `decide` says how much of each camera, `videos` lists what the walk
    opens, `shards` is how it cuts them, and `trim` removes what is too much."""

    first: Iterator[Video]
    """The videos, in the order of their paths."""
    listing: Callable[[], Iterator[Video]]
    """Lists them again."""
    camera_of: CameraOf
    most: int
    """Cubes of a camera, at most."""
    plan: ShardPlan
    """Shard plan of a video that is taken whole."""
    timeline_of: Callable[[Video], Timeline]
    """Opens a video. Raises Hf2vadError."""
    counts: Counts = field(default_factory=dict)
    _footage: Mapping[str, FootageSize] = field(default_factory=dict)
    _picks: dict[str, Pick] = field(default_factory=dict)
    _frames: dict[str, Range] = field(default_factory=dict)
    """Frames of the opened videos."""
    _busy: float = 0.0
    """Seconds of a worker for a stretch; 0 where none was worked on."""

    @property
    def length(self) -> int:
        """Frames of a stretch."""
        return stretch_frames(self.most)

    def decide(
        self, task: ExtractionTask, cluster: Cluster, stop: Stop, breaker: BreakerConfig
    ) -> tuple[ExtractionTask, dict[str, Any]]:
        """Decide how much is taken of each camera and print what that will cost; returns the task of the walk, and what
        its record says. Nothing is decided when the run is told to stop meanwhile."""
        self._footage = footage_of(self.first, self.camera_of)
        sizes = [[name, found.videos, found.size] for name, found in sorted(self._footage.items())]
        zones = [task.layout.zones.key] if task.layout.zones.cameras else []
        key = hash_of(task.layout.plan, self.most, self.length, sizes, *zones)
        uri = join(task.layout.prefix, "samples", f"{task.layout.dataset}-{key}.json")
        if exists(uri):
            decided = read_json(uri)
        else:
            decided = self._decided(task, cluster, stop, breaker)
            if stop.reason is not None:
                return task, {}
            if any(found is not None for found in decided["cubes"].values()):
                put_json(uri, decided)
        self.counts = decided["stretches"]
        for line in self._estimate(decided, cluster.capacity):
            print(line, flush=True)
        sampled = {name: count for name, count in self.counts.items() if count is not None}
        if sampled:
            final = hash_of(task.layout.plan, key, sorted(sampled.items()))
            task = replace(task, layout=replace(task.layout, final=final))
        return task, {"cameras_whole": len(self.counts) - len(sampled), "cameras_sampled": len(sampled)}

    def videos(self) -> Iterator[Video]:
        """The videos of which something is taken."""
        self._picks.clear()
        for video, pick in picked(self.listing(), self.camera_of, self._footage, self.counts):
            if pick.shares is not None:
                self._picks[video.id] = pick
            yield video

    def shards(self, video: Video, timeline: Timeline) -> Iterator[Shard]:
        if video.id not in self._picks:
            return self.plan.shards(video, timeline)
        return (
            shard
            for start, stop in self._segments(video, timeline)
            for shard in self.plan.cut(video, timeline, start, stop)
        )

    def count(self, video: Video, timeline: Timeline) -> int:
        if video.id not in self._picks:
            return self.plan.count(video, timeline)
        return sum(stop - start for start, stop in self._segments(video, timeline))

    def trim(self, task: ExtractionTask) -> dict[str, Any]:
        """Remove the last stretches of each camera's sample that make it larger than wanted; returns a record."""
        removed = 0
        chosen: dict[str, list[tuple[Video, Pick]]] = {}
        sampled = {name: count for name, count in self.counts.items() if count is not None}
        listed = self.listing() if sampled else iter(())
        for video, pick in picked(listed, self.camera_of, self._footage, sampled):
            if pick.shares is not None:
                chosen.setdefault(self.camera_of(video), []).append((video, pick))
        for videos in chosen.values():
            files = {video.id: _files(task, video) for video, _ in videos}
            if sum(cubes for each in files.values() for _, _, cubes in each) > self.most:
                removed += self._trimmed(videos, files)
        return {"cubes_trimmed": removed} if removed else {}

    def _trimmed(self, videos: Sequence[tuple[Video, Pick]], files: Mapping[str, Sequence[_File]]) -> int:
        in_order: list[tuple[int, str, int]] = []
        for video, pick in videos:
            frames = self._frames.get(video.id) or self.plan.frames.within(self.timeline_of(video).frame_count)
            for (start, stop), number in pick.segments(frames, self.length).items():
                in_order += [(number, uri, cubes) for uri, part, cubes in files[video.id] if start <= part[0] < stop]
        taken = removed = 0
        full = False
        for _, group in groupby(sorted(in_order), key=itemgetter(0)):
            stretch = list(group)
            cubes = sum(count for _, _, count in stretch)
            full = full or taken + cubes > self.most
            if full:
                removed += cubes
                for _, uri, _ in stretch:
                    delete(uri)
            else:
                taken += cubes
        return removed

    def _segments(self, video: Video, timeline: Timeline) -> Mapping[Range, int]:
        self._frames[video.id] = self.plan.frames.within(timeline.frame_count)
        return self._picks[video.id].segments(self._frames[video.id], self.length)

    def _decided(self, task: ExtractionTask, cluster: Cluster, stop: Stop, breaker: BreakerConfig) -> dict[str, Any]:
        small = self._small()
        rest = [name for name in sorted(self._footage) if name not in small]
        step = max(1.0, len(rest) / LOOKED)
        looked = [rest[int(i * step)] for i in range(min(len(rest), LOOKED))]
        densities = self._look(looked, task, cluster, stop, breaker)
        counts: Counts = dict.fromkeys(small)
        cubes: dict[str, int | None] = dict.fromkeys(small)
        mean = _mean(list(densities.values()))
        for name in rest if densities else ():
            found = densities.get(name, mean)
            everything = found.each * found.all_of(self._footage[name], self.length)
            enough = everything <= self.most
            # What was looked at is part of the sample, so that nothing of it lies about.
            least = found.stretches if name in densities else 1
            counts[name] = None if enough else max(least, math.ceil(self.most / found.each))
            cubes[name] = round(everything)
        return {"stretches": counts, "frames": self.length, "most": self.most, "cubes": cubes, "busy_s": self._busy}

    def _small(self) -> list[str]:
        """Cameras that are taken whole because they have too few frames for the wanted cubes."""
        enough = self.most / DENSE
        frames = {
            name: 0.0
            for name, found in self._footage.items()
            if found.size <= PROBED_BYTES and found.videos <= PROBED_VIDEOS
        }
        asked = (video for video in (self.listing() if frames else ()) if self.camera_of(video) in frames)
        for video, count in in_threads(self._counted, asked, THREADS):
            frames[self.camera_of(video)] += count
        return [name for name, count in sorted(frames.items()) if count <= enough]

    def _counted(self, video: Video) -> tuple[Video, int]:
        try:
            start, stop = self.plan.frames.within(self.timeline_of(video).frame_count)
            return video, stop - start
        except Hf2vadError:  # the walk says so
            return video, 0

    def _look(
        self, cameras: Sequence[str], task: ExtractionTask, cluster: Cluster, stop: Stop, breaker: BreakerConfig
    ) -> dict[str, Density]:
        found: dict[str, Density] = {}
        looking = replace(task, layout=replace(task.layout, final=hash_of(task.layout.plan, "look")))
        busy, stretches, todo, count = 0.0, 0, list(cameras), LOOKS
        least = min(LEAST, self.most // 8)
        while todo and stop.reason is None:
            self.counts = dict.fromkeys(todo, count)
            calls = WorkerCalls(close=leave_video)
            limits = WalkLimits(index=MarkIndex(iter(())))  # without marks: a look opens all that it looks at
            walk = Walk(cluster, looking, self, limits=limits, breaker=breaker, stop=stop, calls=calls)
            counts = walk.run(self.videos(), "look")
            busy, stretches = busy + counts.figures.get("busy_s", 0.0), stretches + counts.shards
            found |= self._densities(task)
            todo = [
                name
                for name in todo
                if found[name].cubes < least and 2 * count < found[name].all_of(self._footage[name], self.length)
            ]
            count *= 8
        self._busy = busy / stretches if stretches else 0.0
        return found

    def _densities(self, task: ExtractionTask) -> dict[str, Density]:
        found = {name: Density(0, 0, 0, 0) for name in self.counts}
        for video in self.videos():
            if video.id in self._frames:
                name, frames = self.camera_of(video), self._frames[video.id]
                before, segments = found[name], self._picks[video.id].segments(frames, self.length)
                found[name] = Density(
                    before.stretches + len(segments),
                    before.cubes + sum(cubes for _, part, cubes in _files(task, video) if _within(part, segments)),
                    before.frames + frames[1] - frames[0],
                    before.size + max(1, video.size),
                )
        return found

    def _estimate(self, decided: Mapping[str, Any], workers: int) -> Iterator[str]:
        """Estimate of what will be extracted, in words."""
        sampled = {name: count for name, count in self.counts.items() if count is not None}
        whole = len(self.counts) - len(sampled)
        if whole:
            yield f"sample: {count_words(whole, 'camera')} taken whole, at most about {self._most} each"
        if not sampled:
            return
        everything = sum(decided["cubes"][name] for name in sampled)
        cubes, stretches = self.most * len(sampled), sum(sampled.values())
        seconds = stretches * decided["busy_s"] / max(1, workers)
        took = f", about {duration(seconds)}" if decided["busy_s"] else ""
        there = f"about {count_words(everything, 'cube')} of {count_words(len(sampled), 'camera')}"
        taken = f"{count_words(stretches, 'stretch')} of {count_words(self.length, 'frame')}"
        yield (
            f"sample: {there}, {_gigabytes(everything)}; at most {self._most} of each are taken, in {taken}: "
            f"{_gigabytes(cubes)}{took} (--max-cubes 0 takes everything)"
        )

    @property
    def _most(self) -> str:
        return count_words(self.most, "cube")


_File = tuple[str, Range, int]
"""URI, frames and cubes of a shard."""


def _files(task: ExtractionTask, video: Video) -> list[_File]:
    state = task.layout.shard_state(video)
    found = list_shards(task.layout.shard_folder(video))
    return [(uri, frames, open_parquet(uri).metadata.num_rows) for uri, frames, own in found if own == state]


def _within(part: Range, segments: Iterable[Range]) -> bool:
    return any(start <= part[0] and part[1] <= stop for start, stop in segments)


def _mean(found: Sequence[Density]) -> Density:
    columns = zip(*((d.stretches, d.cubes, d.frames, d.size) for d in found), strict=True)
    return Density(*map(sum, columns)) if found else Density(0, 0, 0, 0)


def _gigabytes(cubes: float) -> str:
    return f"{cubes * (APPEARANCE_BYTES + FLOW_BYTES) / 1e9:,.1f} GB"
