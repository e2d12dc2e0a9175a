"""Length of the trainings in an ablation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from hf2vad.settings import require
from hf2vad.training.settings import StageConfig, TrainingConfig

StageName = Literal["flow", "frame", "joint"]
STAGES: tuple[StageName, ...] = ("flow", "frame", "joint")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Training steps and calibration cubes of each network. Short, so that every row is affordable."""

    flow_epochs: int = 1
    """Epochs of the flow stage."""

    flow_steps: int = 0
    """Optimizer steps of such an epoch at most; 0: the whole table."""

    frame_epochs: int = 1
    """Epochs of the frame stage."""

    frame_steps: int = 40
    """Optimizer steps of such an epoch at most; 0: the whole table."""

    joint_epochs: int = 1
    """Epochs of the joint stage, of the rows that have one."""

    joint_steps: int = 40
    """Optimizer steps of such an epoch at most; 0: the whole table."""

    calibration_cubes: int = 2048
    """Training cubes, evenly spread over the table, that mean, deviation and ranks are taken from; 0: all."""

    def __post_init__(self) -> None:
        for stage in STAGES:
            StageConfig(epochs=getattr(self, f"{stage}_epochs"), steps=getattr(self, f"{stage}_steps"))
        cubes = self.calibration_cubes
        require(cubes == 0 or cubes > 1, f"schedule.calibration_cubes must be 0 or at least 2, got {cubes}")

    def of(self, training: TrainingConfig) -> TrainingConfig:
        """`training` with this schedule."""
        stages: dict[str, Any] = {
            stage: replace(
                getattr(training, stage),
                epochs=getattr(self, f"{stage}_epochs"),
                steps=getattr(self, f"{stage}_steps"),
            )
            for stage in STAGES
        }
        return replace(training, **stages)
