"""Choose the score at which an event starts, by the number of alarms that you want in an hour.

Example:
    hf2vad score demo/archive/train --bundle demo/bundle --out normal
    hf2vad alarms normal --out alarms.json --per-hour 6
    hf2vad score demo/archive/test --bundle demo/bundle --out scores --alarms alarms.json

Score normal footage that the bundle was not trained on (the example uses training footage only to be short). Training
footage scores lower, so its threshold would give more alarms than you want. With --reviews any footage will do: what
people have called interesting in it is left out. The job warns if there are too few hours for the rate that you want.
Exit code: 0 done, 2 usage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hf2vad.archive.pattern import PathPattern
from hf2vad.commandline import EXIT_OK, Job
from hf2vad.plurals import count_words
from hf2vad.scoring.settings import EventConfig
from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class AlarmJob:
    """Settings of hf2vad alarms."""

    scores: str
    """Score tables of normal footage that the bundle was not trained on: the --out of hf2vad score, or one
    bundle=<id> folder in it."""

    out: str
    """File to write, such as site/alarms.json, for --alarms of score and backfill."""

    reviews: tuple[str, ...] = ()
    """Review sites of this footage, their reviews/ folders, or files of marks that pages have saved. Events called
    interesting are left out, so that footage of every day will do; those called normal are alarms too many."""

    per_hour: float = 0.1
    """Wanted alarms per camera and hour of footage like this."""

    camera_pattern: str = ""
    """Pattern whose {camera} names a video's camera, as in {camera}/{date}/*. Each camera with enough hours gets a
    threshold of its own. Default: the bundle's pattern, if it was trained with one."""

    events: EventConfig = field(default_factory=EventConfig)

    resamples: int = 200
    """Draws of peaks behind the intervals of fitted thresholds; 0: no intervals."""

    seed: int = 0
    """Seeds those draws."""

    def __post_init__(self) -> None:
        require(0 < self.per_hour < 3600, f"--per-hour must be above 0 and below 3600, got {self.per_hour}")
        require(self.resamples >= 0, f"--resamples must not be negative, got {self.resamples}")
        require(self.events.threshold is None, "events.threshold is what this job finds; leave it out")
        PathPattern.of_camera(self.camera_pattern)


def alarm_job(job: AlarmJob) -> int:
    """Find the thresholds, put the file and print what they rest on; returns the exit code."""
    from hf2vad.evaluation.alarms import AlarmTarget, alarm_levels
    from hf2vad.report.alarms import print_levels
    from hf2vad.storage import absolute

    target = AlarmTarget(job.per_hour, job.events, job.resamples, job.seed)
    pattern, marks = PathPattern.of_camera(job.camera_pattern), _marks(job)
    alarms, levels = alarm_levels(absolute(job.scores), target, pattern, marks["interesting"])
    called = {verdict: sum(map(len, ranges.values())) for verdict, ranges in marks.items()}
    if job.reviews:
        alarms = replace(alarms, figures={**alarms.figures, "reviews": called})
        print(
            f"left out: {count_words(called['interesting'], 'event')} called interesting; "
            f"counted: {count_words(called['normal'], 'event')} called normal"
        )
    alarms.put(absolute(job.out))
    print_levels(alarms, levels, job.per_hour, last=f"Written to {job.out}; scoring takes it as --alarms {job.out}")
    return EXIT_OK


def _marks(job: AlarmJob) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """First and last frames of the events called interesting, and of those called normal, by video."""
    from hf2vad.review.store import read_reviews
    from hf2vad.storage import absolute

    ranges: dict[str, dict[str, list[tuple[int, int]]]] = {"interesting": {}, "normal": {}}
    for mark in read_reviews([absolute(uri) for uri in job.reviews]):
        if mark.verdict in ranges:
            ranges[mark.verdict].setdefault(mark.video, []).append((mark.start_frame, mark.end_frame))
    return ranges


JOB = Job(
    "alarms",
    AlarmJob,
    alarm_job,
    __doc__,
    shown=("scores", "out", "per-hour", "reviews", "camera-pattern"),
    reads="scores",
)
