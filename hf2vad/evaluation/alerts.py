"""Events against labels: how many anomalies were detected, how soon, and how many alarms were false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf2vad.evaluation.labels import FrameLabels
from hf2vad.schema import F64
from hf2vad.tables.read import name_in, scored_videos
from hf2vad.video.times import median_step, runs

Span = tuple[int, int]
"""Frames from the first up to the last, which is inclusive."""


@dataclass(frozen=True)
class Alerts:
    """Counts over videos; an alarm is an event of the score tables, an anomaly an unbroken run of anomalous labels."""

    anomalies: int = 0
    detected: int = 0
    """Anomalies that share a frame with an alarm."""
    alarms: int = 0
    false: int = 0
    """Alarms that share no frame with an anomaly."""
    hours: float = 0.0
    """Hours of labelled footage that has a score."""
    delays: tuple[float, ...] = ()
    """Seconds from each detected anomaly's first frame to the first alarm's; 0 where that was before."""

    def __add__(self, other: Alerts) -> Alerts:
        return Alerts(*(getattr(self, name) + getattr(other, name) for name in vars(self)))

    def figures(self) -> dict[str, Any]:
        """Counts and ratios; null where there is nothing to divide by."""
        return {
            "anomalies": self.anomalies,
            "told": self.detected,
            "recall": self.detected / self.anomalies if self.anomalies else None,
            "alarms": self.alarms,
            "false_alarms": self.false,
            "precision": (self.alarms - self.false) / self.alarms if self.alarms else None,
            "hours": self.hours,
            "false_alarms_per_hour": self.false / self.hours if self.hours else None,
            "delay_s_median": float(np.median(self.delays)) if self.delays else None,
            "delay_s_longest": max(self.delays, default=None),
        }


def alert_figures(prefix: str, labels: FrameLabels) -> dict[str, Any]:
    """Figures of the events under `prefix` in the labelled videos. An alarm on frames without a label is none.

    `surprises`: thresholds of scores by surprise, ascending; only where there are such scores.
    """
    total, surprises = Alerts(), set[float]()
    for video in scored_videos(prefix):
        name = name_in(labels, video.video)
        if name is None:
            continue
        if video.metadata.get("rule") == "surprise":
            surprises.add(float(video.metadata["thresholds"][0]))
        frames, events = video.table("frames"), video.table("events")
        spans = list(zip(*(events[column].to_pylist() for column in ("start_frame", "end_frame")), strict=True))
        pts_s, scored = frames["pts_s"].to_numpy(), ~np.isnan(frames["score"].to_numpy())
        total += alerts(frames["frame"].to_numpy(), pts_s, scored, *labels[name], spans)
    return total.figures() | ({"surprises": sorted(surprises)} if surprises else {})


def alerts(
    frame: np.ndarray[Any, Any],
    pts_s: F64,
    scored: np.ndarray[Any, Any],
    labelled: np.ndarray[Any, Any],
    anomalous: np.ndarray[Any, Any],
    events: Sequence[Span],
) -> Alerts:
    """Alert figures of one video.

    `frame`, `pts_s`, `scored`: of its frame table. `labelled`: its labelled frames, ascending, and whether each is
    anomalous.
    """
    anomalies = [(int(labelled[start]), int(labelled[stop - 1])) for start, stop in runs(anomalous)]
    relevant = [event for event in events if ((labelled >= event[0]) & (labelled <= event[1])).any()]
    time = dict(zip(frame.tolist(), pts_s.tolist(), strict=True))
    delays = []
    for start, stop in anomalies:
        first = next((event[0] for event in relevant if _meet(event, (start, stop))), None)
        if first is not None:
            delays.append(max(0.0, time[max(first, start)] - time[start]))
    return Alerts(
        anomalies=len(anomalies),
        detected=len(delays),
        alarms=len(relevant),
        false=sum(not any(_meet(event, anomaly) for anomaly in anomalies) for event in relevant),
        hours=median_step(pts_s) * int((scored & np.isin(frame, labelled)).sum()) / 3600,
        delays=tuple(delays),
    )


def _meet(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
