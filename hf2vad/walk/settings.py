"""When a run ends early."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """When so much fails that the run ends (exit code 2); what is done is kept."""

    calls: int = 20
    """The last so many calls: the run ends when nearly all of them were lost to dead workers or failing storage, each
    after its own retries. Such failures are not held against the videos. 0: never."""

    videos: int = 300
    """The same for failures of any cause, a video counting once: every video fails when the decoder is missing, but an
    archive may well have 200 corrupt ones in a row. 0: never."""

    share: float = 0.95
    """What "nearly all" is."""

    def __post_init__(self) -> None:
        for name in ("calls", "videos"):
            require(getattr(self, name) >= 0, f"breaker.{name} must be at least 0, got {getattr(self, name)}")
        require(0 < self.share <= 1, f"breaker.share must lie above 0 and up to 1, got {self.share}")
