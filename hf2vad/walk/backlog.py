"""Number of videos in an archive that no run has scored or failed on, and the date of the oldest.

A thread lists them once, at the start of a run: the catalogue less the marks of finished videos. Each video that the
run closes is taken off. Videos are counted by the hour that they are from, so that no list of an archive is held.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hf2vad import logs
from hf2vad.archive.catalog import Video

HOUR = 3600.0


@dataclass(frozen=True)
class Remaining:
    """Videos that no run has scored or failed on."""

    videos: int
    """Their number."""
    oldest: float | None
    """Unix time of the hour that the oldest is from; none where nothing remains."""


class Backlog:
    """Counts the videos that no run has scored or failed on."""

    def __init__(
        self, unscored: Callable[[], Iterator[Video]] | None = None, made: Callable[[Video], float] | None = None
    ) -> None:
        """`unscored`: lists them; none: nothing is counted. `made`: Unix time that a video is from."""
        self._unscored, self._made = unscored, made or (lambda video: video.modified)
        self._unscored_by_hour: Counter[int] = Counter()
        self._ended: Counter[int] = Counter()
        self._begun: dict[str, int] = {}
        self._listed = threading.Event()

    def start(self) -> None:
        """Start listing, in a thread."""
        if self._unscored is not None:
            threading.Thread(target=self._list, name="backlog", daemon=True).start()

    def begun(self, video: Video) -> None:
        """Note that the run has opened `video`."""
        if self._unscored is not None:
            self._begun[video.id] = self._hour(video)

    def ended(self, video: Video) -> None:
        """Take `video` off: the run has closed it."""
        if (hour := self._begun.pop(video.id, None)) is not None:
            self._ended[hour] += 1

    def remaining(self) -> Remaining | None:
        """The present count; none until all are listed."""
        if not self._listed.is_set():
            return None
        ended = dict(self._ended)
        left = {hour: count - ended.get(hour, 0) for hour, count in self._unscored_by_hour.items()}
        counts = {hour: count for hour, count in left.items() if count > 0}
        return Remaining(sum(counts.values()), min(counts) * HOUR if counts else None)

    def _list(self) -> None:
        assert self._unscored is not None
        try:
            self._unscored_by_hour.update(self._hour(video) for video in self._unscored())
            self._listed.set()
        except Exception as error:  # the walk meets the same, and says so
            logs.warn("what is left is not known", error=f"{type(error).__name__}: {error}")

    def _hour(self, video: Video) -> int:
        return int(self._made(video) // HOUR)
