"""From marks and the archive to lessons: the cubes of marked events, cut again from their videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from hf2vad.archive.archive_refs import ArchiveRef, find_in
from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.bundle.bundle import Bundle
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import AccessDeniedError, NotFoundError, VideoError
from hf2vad.fitting.teach import Lesson
from hf2vad.plurals import count_words
from hf2vad.report.site.evidence import video_key
from hf2vad.review.marks import Mark
from hf2vad.schema import CubeBatch
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.shard import cubes_of
from hf2vad.summary import print_lines, print_whole
from hf2vad.video.timeline import Timeline, probe


@dataclass(frozen=True)
class Teacher:
    """Shared inputs of all lessons."""

    bundle: Bundle
    features: FeatureSet
    """Features with a weight."""
    extractor: Extractor
    """Cuts cubes as the bundle was trained on."""
    sources: Sequence[ArchiveRef]
    image_fps: float
    limits: LimitsConfig
    zones: Zones = WHOLE_PICTURES
    """Zones with which the marked events were scored: what they drop is no part of an event."""

    def lessons(self, marks: Sequence[Mark], missing: Callable[[Mark, str], None]) -> Iterator[Lesson]:
        """A lesson for each mark, in the order of videos; `missing` is told of those without one, and why."""
        ordered = sorted(marks, key=lambda mark: (mark.video, mark.start_frame))
        for name, of_video in groupby(ordered, key=lambda mark: mark.video):
            group = list(of_video)
            try:
                video = self._video(name, group[0])
                timeline = probe(
                    video,
                    image_fps=self.image_fps,
                    limits=self.limits,
                    decode=self.bundle.settings.extraction.decode,
                )
                yield from [self._lesson(mark, video, timeline) for mark in group]
            except (VideoError, NotFoundError, AccessDeniedError) as error:
                for mark in group:
                    missing(mark, " ".join(str(error).split()))

    def _video(self, name: str, mark: Mark) -> Video:
        """The video of a mark. Raises VideoError where it is not the one that was marked."""
        video = find_in(self.sources, name)
        if video is None or video_key(video.id) != mark.video_key:
            raise VideoError(f"{name}: not in {', '.join(source.uri for source in self.sources)}")
        if mark.fingerprint and video.fingerprint != mark.fingerprint:
            raise VideoError(f"{name}: changed since its events were marked")
        return video

    def _lesson(self, mark: Mark, video: Video, timeline: Timeline) -> Lesson:
        """The cubes of a marked event that reach the score down to which events extend; all that are as rare are what
        the mark is about.

        Where an event is to stay, those of the frames around it count too: its smoothed score comes from them as well.
        """
        settings = self.bundle.settings
        around = 0 if mark.verdict == "normal" else settings.smoothing.window(timeline.usual_fps) // 2
        start, stop = max(0, mark.start_frame - around), min(mark.end_frame + 1 + around, timeline.frame_count)
        cut = [
            batch
            for shard in self.extractor.shards(video, timeline, max(1, stop - start), start=start, stop=stop)
            for batch in self.extractor.cubes(shard, zones=self.zones.of(video))
            if len(batch) and start <= batch.frame < stop
        ]
        cubes = cubes_of(cut or [CubeBatch.empty(frame=0, pts_s=0.0, status="scored")])
        own = self.features.of_camera(settings.camera_of(video.path))
        scorer = Scorer.of(settings, video.path)
        scores = scorer.score(scorer.in_units(own.measure(cubes), cubes.boxes)) if len(cubes) else np.empty(0)
        rare = np.flatnonzero(scores >= settings.calibration_of(video.path).low)
        return Lesson(_row(mark), cubes.part(rare))


def _row(mark: Mark) -> dict[str, Any]:
    return {
        "event": mark.event,
        "video": mark.video,
        "start_frame": mark.start_frame,
        "end_frame": mark.end_frame,
        "verdict": mark.verdict,
        "marked_at": mark.marked_at.isoformat(timespec="seconds"),
    }


def print_lessons(lessons: Sequence[Lesson], taught: Bundle, missing: Sequence[tuple[Mark, str]], *, last: str) -> None:
    """Print how many rare cubes of the marked events `taught` excuses, and `last`; with --verbose a row for each event.

    missing: marks that could not be used, and why.
    """
    table = Table(title="what was taught")
    for column in ("video", "frames", "called", "rare cubes", "excused now"):
        table.add_column(column)
    events, rare, excused = Counter[str](), Counter[str](), Counter[str]()
    for lesson in lessons:
        like = taught.taught.excuses(taught.features, lesson.cubes)
        row = lesson.row
        called, frames = row["verdict"], f"{row['start_frame']}-{row['end_frame']}"
        table.add_row(escape(row["video"]), frames, called, f"{len(like):,}", f"{int(like.sum()):,}")
        events[called] += 1
        rare[called] += len(like)
        excused[called] += int(like.sum())
    print_whole(table, width=120)
    lines = [
        f"{count_words(number, 'event')} called {called}: {excused[called]:,} of "
        f"{count_words(rare[called], 'rare cube')} excused now"
        for called, number in events.items()
    ]
    if nothing := sum(not len(lesson.cubes) for lesson in lessons):
        lines.append(f"nothing to teach, for lack of a rare cube: {count_words(nothing, 'event')}")
    lines += [f"not used: {mark.video}, frames {mark.start_frame}-{mark.end_frame}: {why}" for mark, why in missing]
    print_lines(lines, last=last)
