"""More like this: the moments of an archive whose objects are most like those of an event, by exact search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.errors import ConfigError, NotFoundError
from hf2vad.evidence.choose import event_key
from hf2vad.features.object_vector import I8
from hf2vad.report.site.evidence import video_key
from hf2vad.schema import F32, I32, VECTOR_BYTES
from hf2vad.storage import absolute, readable
from hf2vad.tables.read import scores_prefix, video_tables

CHUNK = 8192
"""Vectors that are compared at once: 2 MB as floats, which stay in a processor's cache."""
THREADS = 2
APART_S = 5.0
"""Objects of one video within so many seconds are one moment."""
ROWS = 100
"""Nearest objects that are looked at for each moment wanted: those of one moment are alike."""


@dataclass(frozen=True)
class Moment:
    """A moment of a video that is like what was asked for."""

    video: str
    frame: int
    seconds: float
    score: float
    distance: float
    """Distance of its object's vector; 0 means equal."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """All vectors of some scores, in memory: 64 bytes each, and 20 more."""

    videos: Sequence[str]
    vectors: I8
    """(N, 64)."""
    video: I32
    """(N,): number of each object's video, increasing."""
    frame: I32
    seconds: F32
    score: F32
    squares: F32
    """(N,): squared lengths of the vectors."""

    @classmethod
    def of(cls, videos: Sequence[str], tables: Sequence[pa.Table]) -> Self:
        """The vectors of videos, a table `vectors` for each."""
        counts = [len(table) for table in tables]

        def column(name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
            parts = [table[name].to_numpy() for table in tables]
            return np.concatenate([np.empty(0), *parts]).astype(kind)

        parts = [_vectors(chunk) for table in tables for chunk in table["vector"].chunks]
        vectors = np.concatenate([np.empty((0, VECTOR_BYTES), np.int8), *parts])
        squares = [np.square(part.astype(np.float32)).sum(1) for part in _chunks(vectors)]
        return cls(
            videos=videos,
            vectors=vectors,
            video=np.repeat(np.arange(len(videos), dtype=np.int32), counts),
            frame=column("frame", np.int32),
            seconds=column("pts_s", np.float32),
            score=column("score", np.float32),
            squares=np.concatenate([np.empty(0, np.float32), *squares]),
        )

    @classmethod
    def read(cls, prefixes: Sequence[str]) -> Self:
        """The vectors of all cameras and nights below some bundle=<id> folders.

        Raises ConfigError where no object keeps one.
        """
        found = [(tables.video, table) for prefix in prefixes for tables, table in _tables(prefix)]
        if not found:
            raise ConfigError(f"{', '.join(prefixes)}: no object there keeps a vector; score with --vectors 2")
        return cls.of([video for video, _ in found], [table for _, table in found])

    def __len__(self) -> int:
        return len(self.vectors)

    def distances(self, vector: F32) -> F32:
        """(N,) distances of a (64,) vector to all."""
        starts = range(0, len(self), CHUNK)

        def part(start: int) -> F32:
            rows = self.vectors[start : start + CHUNK].astype(np.float32)
            return np.asarray(self.squares[start : start + CHUNK] - 2 * (rows @ vector), np.float32)

        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(part, starts))
        squared = np.concatenate([np.empty(0, np.float32), *parts]) + np.float32(np.square(vector).sum())
        return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)

    def frames_at(self, video: str, seconds: float, around: float) -> tuple[str, int, int]:
        """The video, and the frames of its objects with a vector up to `around` seconds from a time. Raises ConfigError
        where there is none."""
        rows = self._rows(video, 0, np.iinfo(np.int32).max)
        near = self.frame[rows[np.abs(self.seconds[rows] - seconds) <= around]]
        if not len(near):
            raise ConfigError(f"{video}: no object around {seconds:g} s keeps a vector")
        return video, int(near.min()), int(near.max()) + 1

    def of_frames(self, video: str, start: int, stop: int) -> F32:
        """(64,): what stands for the frames `start` … `stop` of a video, the end exclusive: the mean vector of the
        higher scoring half of its objects there. Raises ConfigError where none keeps a vector."""
        rows = self._rows(video, start, stop)
        if not len(rows):
            raise ConfigError(f"{video}: no object of frames {start}-{stop} keeps a vector")
        score = self.score[rows]
        high = rows[score >= np.median(score)]
        return np.asarray(self.vectors[high].astype(np.float32).mean(0), np.float32)

    def like(self, video: str, start: int, stop: int, count: int) -> list[Moment]:
        """The `count` moments that are most like these frames, other moments than theirs, the most alike first."""
        vector = self.of_frames(video, start, stop)
        distances = self.distances(vector)
        own = self._rows(video, start, stop)
        low, high = float(self.seconds[own].min()) - APART_S, float(self.seconds[own].max()) + APART_S
        wanted = min(len(self), count * ROWS + len(own))
        nearest = np.argpartition(distances, wanted - 1)[:wanted]
        number = self.videos.index(video)
        found: list[Moment] = []
        taken: dict[int, list[float]] = {}
        for row in nearest[np.argsort(distances[nearest], kind="stable")]:
            which, at = int(self.video[row]), float(self.seconds[row])
            near = any(abs(at - other) < APART_S for other in taken.get(which, ()))
            if near or (which == number and low < at < high):
                continue
            taken.setdefault(which, []).append(at)
            name, frame = self.videos[which], int(self.frame[row])
            found.append(Moment(name, frame, at, float(self.score[row]), float(distances[row])))
            if len(found) == count:
                break
        return found

    def _rows(self, video: str, start: int, stop: int) -> npt.NDArray[np.int64]:
        if video not in self.videos:
            return np.empty(0, np.int64)
        number = self.videos.index(video)
        first, last = np.searchsorted(self.video, [number, number + 1])
        frame = self.frame[first:last]
        return np.asarray(first + np.flatnonzero((frame >= start) & (frame < stop)), np.int64)


def event_frames(prefixes: Sequence[str], key: str) -> tuple[str, int, int]:
    """Video, first frame, and the one after the last, of an event by its key. Raises ConfigError for no such event."""
    for prefix in prefixes:
        for tables in video_tables(prefix, "events"):
            for row in tables.table("events").select(["video", "start_frame", "end_frame"]).to_pylist():
                if event_key(row["video"], row["start_frame"]) == key:
                    return row["video"], row["start_frame"], row["end_frame"] + 1
    raise ConfigError(f"no event {key} in {', '.join(prefixes)}")


def prefixes_of(scores: tuple[str, ...]) -> list[str]:
    """The bundle=<id> folders at or under some places. Raises EvaluationError for one without."""
    return [scores_prefix(absolute(uri)) for uri in scores]


class SimilarEvents:
    """Answers of the review server to a page that asks for more like an event."""

    COUNT = 12

    def __init__(self, scores: tuple[str, ...]) -> None:
        """Read all vectors. Raises what VectorIndex does."""
        self._prefixes = prefixes_of(scores)
        self._index: VectorIndex = VectorIndex.read(self._prefixes)

    def __call__(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The moments like the event that a query names. Raises ConfigError for one that there is not."""
        asked = event_frames(self._prefixes, query.get("event", ""))
        return {"moments": [_for_page(moment) for moment in self._index.like(*asked, self.COUNT)]}


def _for_page(moment: Moment) -> dict[str, Any]:
    return {
        "video": video_key(moment.video),
        "name": readable(moment.video),
        "seconds": round(moment.seconds, 3),
        "score": round(moment.score, 3),
        "distance": round(moment.distance, 2),
    }


def _tables(prefix: str) -> Iterator[tuple[Any, pa.Table]]:
    try:
        for tables in video_tables(prefix, "vectors"):
            yield tables, tables.table("vectors")
    except NotFoundError:
        return


def _vectors(column: pa.Array) -> I8:
    values = np.frombuffer(column.buffers()[1], np.int8).reshape(-1, VECTOR_BYTES)
    return values[column.offset : column.offset + len(column)]


def _chunks(vectors: I8) -> Iterator[I8]:
    return (vectors[start : start + CHUNK] for start in range(0, len(vectors), CHUNK))
