"""At which score an event must start so that normal footage gives the wanted number of alarms per camera-hour.

Held-out normal footage is scored, and its events are counted by the rule that scoring uses, at ever lower thresholds.
While that gives `COUNTED` events or more the threshold is *counted*. For rarer alarms a generalised Pareto distribution
is *fitted* to the peaks above a base (peaks over threshold: Pickands 1975, Davison & Smith 1990), whose events are
apart by rule, and the threshold is its return level. Beyond what the hours at hand can tell, the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import stats

from hf2vad.archive.pattern import PathPattern
from hf2vad.errors import EvaluationError
from hf2vad.plurals import count_words
from hf2vad.schema import F64
from hf2vad.scoring.alarms import Alarms, rule_of
from hf2vad.scoring.events import HighRun, events_above, high_runs
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.storage import readable
from hf2vad.tables.read import scored_videos, scores_prefix
from hf2vad.video.times import median_step

COUNTED = 10
"""Events from which on a rate is counted: its relative deviation is then about a third."""
FITTED = 30
"""Peaks that a distribution is fitted to, at least."""
MOST = 200
"""Highest number of exceedances, where the limit theorem holds best."""
LEVEL = 0.95


@dataclass(frozen=True)
class AlarmTarget:
    """Wanted number of alarms, and the rule for what counts as one."""

    per_hour: float
    """Alarms per camera and hour of footage like the given one."""
    events: EventConfig
    """Rule that makes events of frames above the threshold."""
    resamples: int
    """Draws of peaks behind the interval of a fitted threshold; 0: no interval."""
    seed: int = 0
    """Seeds those draws."""


@dataclass(frozen=True)
class ScoredFootage:
    """Scores of a video, reduced to what thresholds need."""

    hours: float
    """Hours of footage whose frames can be part of an event."""
    runs: list[HighRun]
    low: float
    rules: EventConfig
    """Rules of events, their lengths in frames of this video."""


@dataclass(frozen=True)
class Level:
    """A threshold for one camera, or for all."""

    threshold: float
    method: str
    """`counted`, `fitted`, or `beyond`: above all that was seen."""
    hours: float
    events: int
    """Events of the footage at this threshold."""
    rate: tuple[float, float]
    """95 % interval of events per hour, from the number counted (Garwood 1936)."""
    interval: tuple[float, float] | None
    """95 % interval of a fitted threshold."""
    supported: bool
    """True if there are enough hours of footage to estimate the wanted rate."""
    note: str


Ranges = Mapping[str, Sequence[tuple[int, int]]]
"""First and last frames of stretches of videos, by the videos' ids as valid text."""


def alarm_levels(
    scores: str, target: AlarmTarget, pattern: PathPattern, left_out: Ranges = MappingProxyType({})
) -> tuple[Alarms, dict[str, Level]]:
    """The thresholds, and what each rests on; the empty name is that of all cameras together.

    `scores`: URI of a run's score tables. `pattern`: where a video's path names its camera. `left_out`: what of the
    footage is not normal. Raises EvaluationError without footage.
    """
    prefix = scores_prefix(scores)
    by_camera: dict[str, list[ScoredFootage]] = {}
    bundle, smoothing, by_surprise = "", SmoothingRule(0), False
    for video in scored_videos(prefix):
        bundle, smoothing = video.metadata["bundle"], video.smoothing
        by_surprise = video.metadata.get("rule") == "surprise"
        table = video.table("frames").select(["frame", "pts_s", "score", "health"])
        low = target.events.low if target.events.low is not None else float(video.metadata["thresholds"][1])
        frame, pts_s, score, health = (table[name].to_numpy() for name in ("frame", "pts_s", "score", "health"))
        for first, last in left_out.get(readable(video.video), ()):
            score = np.where((frame >= first) & (frame <= last), np.nan, score)
        shown = scored_footage(pts_s, score, health, low, video.events(target.events))
        by_camera.setdefault(pattern.camera_of(video.path), []).append(shown)
    everything = [each for group in by_camera.values() for each in group]
    if not sum(each.hours for each in everything):
        raise EvaluationError(f"{prefix}: no frame there has a score; alarms are set on scored normal footage")
    levels = {"": level(everything, target)}
    levels |= {name: level(group, target) for name, group in sorted(by_camera.items()) if name and _hours(group)}
    own = {name: level.threshold for name, level in levels.items() if name and level.supported}
    alarms = Alarms(
        bundle=bundle,
        smoothing=smoothing,
        rule=rule_of(target.events),
        camera_pattern=pattern.text,
        threshold=levels[""].threshold,
        cameras=own,
        figures={
            "per_hour": target.per_hour,
            "levels": {name: vars(level) for name, level in levels.items()},
            **({"rule": "surprise"} if by_surprise else {}),
        },
    )
    return alarms, levels


def scored_footage(
    pts_s: F64, score: F64, health: np.ndarray[Any, Any], low: float, config: EventConfig
) -> ScoredFootage:
    """Reduce the (frames,) columns of a frame table to the frames that count.

    config: rules of events, their lengths in frames of this video.
    """
    usable = ~np.isnan(score) & (np.array([kind is None for kind in health], bool) | config.on_unhealthy)
    return ScoredFootage(
        median_step(pts_s) * int(usable.sum()) / 3600, high_runs(np.where(usable, score, np.nan), low), low, config
    )


def level(videos: Sequence[ScoredFootage], target: AlarmTarget) -> Level:
    """The threshold at which `videos` give the wanted number of events an hour."""
    hours = _hours(videos)
    count = target.per_hour * hours
    floor = max(each.low for each in videos)
    peaks = event_peaks(videos, floor)
    if len(peaks) <= count:
        events = count_words(len(peaks), "event")
        note = f"the footage has {events} at events.low already; for more alarms lower events.low"
        return _level(floor, "counted", videos, supported=count >= COUNTED, note=note)
    if count >= COUNTED:
        return _level(counted_threshold(videos, int(count), peaks), "counted", videos, supported=True)
    needed = f"{hours:.2f} hours; counting {target.per_hour:g} an hour takes {COUNTED / target.per_hour:,.0f}"
    if len(peaks) < FITTED:
        beyond = float(np.nextafter(peaks[0], np.inf))
        note = f"not supported: {count_words(len(peaks), 'peak')} in {needed}; above everything seen"
        return _level(beyond, "beyond", videos, supported=False, note=note)
    threshold, interval = fitted_threshold(peaks, count, target)
    supported = count >= 1
    note = f"fitted to {min(len(peaks), MOST)} peaks in {needed}"
    note = note if supported else f"not supported, extrapolated: {note}, and {1 / target.per_hour:,.0f} to fit it"
    return _level(threshold, "fitted", videos, supported=supported, interval=interval, note=note)


def event_peaks(videos: Sequence[ScoredFootage], floor: float) -> F64:
    """The highest score of each event at the threshold `floor`, highest first."""
    peaks = []
    for video in videos:
        for start, stop in events_above(floor, video.runs, video.rules):
            peaks.append(max(run.peak for run in video.runs if start <= run.start < stop))
    return np.sort(np.array(peaks, float))[::-1]


def counted_threshold(videos: Sequence[ScoredFootage], wanted: int, peaks: F64) -> float:
    """Between the lowest threshold with at most `wanted` events, as one comes down from above, and the next peak."""
    last = float(peaks[0])
    for peak in np.unique([run.peak for video in videos for run in video.runs])[::-1]:
        if peak < peaks[-1] or count_events(videos, float(peak)) > wanted:
            return (last + max(float(peak), float(peaks[-1]))) / 2
        last = float(peak)
    return last


def count_events(videos: Sequence[ScoredFootage], threshold: float) -> int:
    """Events of all `videos` at a threshold."""
    return sum(len(events_above(threshold, video.runs, video.rules)) for video in videos)


def fitted_threshold(peaks: F64, count: float, target: AlarmTarget) -> tuple[float, tuple[float, float] | None]:
    """The level that `count` peaks reach, by a generalised Pareto fit to the highest; 95 % interval by resampling."""
    tail = peaks[:MOST]
    base = float(tail[-1]) if len(peaks) == len(tail) else float(peaks[MOST])
    value = _return_level(tail, base, count)
    if not target.resamples:
        return value, None
    draw = np.random.default_rng(target.seed)
    drawn = [_return_level(draw.choice(tail, len(tail)), base, count) for _ in range(target.resamples)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return value, (float(low), float(high))


def _return_level(tail: F64, base: float, wanted: float) -> float:
    shape, _, scale = stats.genpareto.fit(tail - base, floc=0)
    return base + float(stats.genpareto.isf(min(1.0, wanted / len(tail)), shape, 0, scale))


def _level(
    threshold: float,
    method: str,
    videos: Sequence[ScoredFootage],
    *,
    supported: bool,
    note: str = "",
    interval: tuple[float, float] | None = None,
) -> Level:
    events, hours = count_events(videos, threshold), _hours(videos)
    tail = (1 - LEVEL) / 2
    low = stats.chi2.ppf(tail, 2 * events) / 2 / hours if events else 0.0
    high = stats.chi2.ppf(1 - tail, 2 * events + 2) / 2 / hours
    return Level(threshold, method, hours, events, (float(low), float(high)), interval, supported, note)


def _hours(videos: Sequence[ScoredFootage]) -> float:
    return sum(each.hours for each in videos)
