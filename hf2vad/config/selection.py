"""Choosing settings without labels."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.config.values import require


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """What `--select` tries, and how much it spends on each try."""

    hold_out: int = 4
    """Every so many-th training video is held out: pseudo-anomalies are made of it, and nothing is fitted on it."""

    slots: tuple[int, ...] = (20, 5, 2)
    """Slots of each memory that are tried beside the preset's own."""

    cosine: bool = True
    """Try addressing by cosine too."""

    steps: int = 150
    """Optimizer steps for each network that is tried."""

    cubes: int = 3000
    """Held-out cubes that are judged on, at most about."""

    margin: float = 0.002
    """AUROC by which something more complicated must be better than what is simpler."""

    def __post_init__(self) -> None:
        require(self.hold_out > 1, f"selection.hold_out must be at least 2, got {self.hold_out}")
        require(all(s > 1 for s in self.slots), f"selection.slots must be at least 2 each, got {self.slots}")
        require(self.steps > 0, f"selection.steps must be positive, got {self.steps}")
        require(self.cubes > 0, f"selection.cubes must be positive, got {self.cubes}")
        require(self.margin >= 0, f"selection.margin must not be negative, got {self.margin}")
