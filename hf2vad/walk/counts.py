"""Counts of a run so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf2vad.profile import Profile, Report

SHOWN_FAILURES = 20
"""Failures that a run holds and shows; all are on storage."""


@dataclass
class RunCounts:
    """Counts of a run that walks over an archive."""

    videos: int = 0
    """Videos in the catalogue."""
    skipped: int = 0
    """Videos whose result was complete before."""
    shards: int = 0
    """Shards computed in this run."""
    shards_failed: int = 0
    """Shards that have no result after all tries."""
    shards_found: int = 0
    """Shards whose result an earlier run had left."""
    stopped: bool = False
    """True if the walk stopped before its end and left work."""
    left: int = 0
    """Videos that were begun and not finished by then."""
    shards_left: int = 0
    """Their shards that have no result; not counting videos that were not opened yet."""
    listed: bool = False
    """True if the whole catalogue was read."""
    finished: int = 0
    """Videos that this run closed, with a failure row or without."""
    failed: int = 0
    """Videos that end with a failure row."""
    failures: list[dict[str, str]] = field(default_factory=list)
    """The first SHOWN_FAILURES of them: video and reason."""
    figures: dict[str, float] = field(default_factory=dict)
    """Sums of what the calls counted: frames, cubes, seconds of video …"""
    profile: Profile = field(default_factory=Profile)
    """Time spent by the workers."""

    def add(self, figures: Mapping[str, Any]) -> None:
        """Add the numbers of one call, and its report of where time went."""
        for name, value in figures.items():
            if isinstance(value, Report):
                self.profile.add(value)
            elif isinstance(value, int | float):
                self.figures[name] = self.figures.get(name, 0) + value

    def fail(self, video_id: str, reason: str) -> None:
        """Count a video that ends with a failure row."""
        self.failed += 1
        if len(self.failures) < SHOWN_FAILURES:
            self.failures.append({"video": video_id, "reason": reason})
