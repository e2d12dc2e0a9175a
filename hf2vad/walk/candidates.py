"""The videos that a backfill may take on: those that are asked for, settled, and not finished by an earlier run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from hf2vad.archive.catalog import Video
from hf2vad.archive.partitions import Partitions
from hf2vad.archive.passed import PassedOver
from hf2vad.storage import objects_appear_whole
from hf2vad.tables.layout import RunLayout
from hf2vad.walk.markers import Marks, PartitionIndex


@dataclass(frozen=True)
class Candidates:
    """The videos of some sections of archives, in the order of the sections."""

    sections: Partitions
    layout: RunLayout
    """Layout of the run. Its marks tell what is finished."""
    min_age_minutes: float
    """Younger files on local disks, and folders of images, are still being written."""

    def settled(self, passed: PassedOver | None = None) -> Iterator[Video]:
        """All videos but those that are still being written; `passed` is told of what is no video."""
        before = time.time() - 60 * self.min_age_minutes if self.min_age_minutes else float("inf")
        for video in self.sections.videos(passed):
            if video.modified <= before or (video.kind == "file" and objects_appear_whole(video.uri)):
                yield video

    def index(self) -> PartitionIndex:
        """Index of videos that earlier runs finished, queried in the order of `settled`."""
        return PartitionIndex(Marks(self.layout.marks), self.sections)

    def looked_up(self, passed: PassedOver | None = None) -> Iterator[tuple[Video, bool]]:
        """The settled videos, each with whether an earlier run finished it; `passed` is told of what is no video."""
        index = self.index()
        for video in self.settled(passed):
            yield video, index.find(video, self.layout.state(video)) is not None

    def new(self) -> Iterator[Video]:
        """The settled videos that no run has finished."""
        return (video for video, finished in self.looked_up() if not finished)

    def time_of(self, video: Video) -> float:
        """Unix time that `video` is from: the start of the day that its path names, else its last change, else now."""
        days = self.sections.scope.days_of(video.path)
        if days is None:
            return video.modified or time.time()
        return datetime.combine(days[0], datetime.min.time(), UTC).timestamp()
