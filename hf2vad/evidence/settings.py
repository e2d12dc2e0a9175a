"""Selection of events to show with pictures, and the amount of material for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf2vad.settings import require

Pixelate = Literal["none", "faces", "people"]


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Pictures, maps and clips of events."""

    events: int = 200
    """Events that get them: those with the highest peak scores; 0: none."""

    above: float | None = None
    """Instead: all events whose peak score is at least this, however many they are."""

    nearest: int = 3
    """Training cubes most like the event's that are shown beside it, where the bundle holds some; 0: none."""

    previews: bool = True
    """Make a loop of two seconds around each event's peak, which its card plays."""

    clips: bool = False
    """Write a short H.264 file around each event, and one with the scored boxes drawn in."""

    clip_seconds: float = 2.0
    """Seconds of a clip before and after its event."""

    clip_longest: float = 20.0
    """Longest clip, in seconds; of a longer event the part around the peak is shown."""

    pixelate: Pixelate = "none"
    """Parts to pixelate in all pictures and clips. `people`: every scored box. `faces`: the upper third of every scored
    box; no face detector runs. Both last `pixelate_hold` seconds before and after each box."""

    pixelate_hold: float = 1.0
    """Seconds before and after a frame whose boxes are pixelated in it too: who stands still for a moment has none."""

    def __post_init__(self) -> None:
        for name in ("events", "nearest", "clip_seconds", "pixelate_hold"):
            require(getattr(self, name) >= 0, f"evidence.{name} must not be negative, got {getattr(self, name)}")
        require(self.clip_longest > 0, f"evidence.clip_longest must be positive, got {self.clip_longest}")
