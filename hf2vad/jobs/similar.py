"""Find more like an event, or like a moment of a video, over all cameras and nights.

Example:
    hf2vad score demo/archive/test --bundle demo/bundle --out scores --vectors 2
    hf2vad similar scores --video 02_cyclist.mp4 --at 2.0
    hf2vad similar s3://vad/scores --event 1f3a5c7e9b2d4f60 --count 20

It compares what objects look like and how they move, by the vectors that scoring keeps of the highest scoring ones with
--vectors. The search is exact. Exit code: 0 done, 2 usage, or no object there keeps a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.commandline import EXIT_OK, Job
from hf2vad.plurals import clock, count_words
from hf2vad.settings import require

AROUND_S = 1.0
"""Seconds before and after `--at` whose objects stand for that moment."""


@dataclass(frozen=True, kw_only=True)
class SimilarJob:
    """Settings of `hf2vad similar`."""

    scores: tuple[str, ...]
    """Where hf2vad score or backfill wrote to, or bundle=<id> folders in it: all that is searched."""

    event: str = ""
    """Key of an event, which the review site names and `events/<key>/` is called."""

    video: str = ""
    """Or: id of a video."""

    at: float = 0.0
    """And seconds from its first frame."""

    count: int = 5
    """Moments that are named, at most."""

    def __post_init__(self) -> None:
        require(self.count > 0, f"--count must be positive, got {self.count}")


def similar_job(job: SimilarJob) -> int:
    """Print the moments that are most like the one asked for; returns the exit code."""
    from hf2vad.review.similar import VectorIndex, event_frames, prefixes_of
    from hf2vad.storage import readable

    require(bool(job.event) != bool(job.video), "give --event, or --video and --at")
    prefixes = prefixes_of(job.scores)
    index = VectorIndex.read(prefixes)
    asked = event_frames(prefixes, job.event) if job.event else index.frames_at(job.video, job.at, AROUND_S)
    objects = count_words(len(index), "object")
    print(f"Like {readable(asked[0])}, frames {asked[1]}-{asked[2] - 1}, among {objects}, nearest first:")
    for moment in index.like(*asked, job.count):
        figures = f"distance {moment.distance:.1f}, score {moment.score:.2f}, frame {moment.frame:,}"
        print(f"  {readable(moment.video)} at {clock(moment.seconds)}: {figures}")
    return EXIT_OK


JOB = Job("similar", SimilarJob, similar_job, __doc__, shown=("event", "video", "at", "count"), reads="scores")
