"""Stages, data order and numerics of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf2vad.config.values import require


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One training stage."""

    epochs: int
    """Passes over the training cubes."""

    steps: int = 0
    """Optimizer steps an epoch at most; 0: the whole table."""

    lr: float = 1e-4
    """Learning rate of Adam at the start."""

    decay: float = 0.8
    """The learning rate is multiplied by this ..."""

    decay_every: int = 50
    """... after every so many epochs."""

    def __post_init__(self) -> None:
        require(self.epochs > 0, f"epochs must be positive, got {self.epochs}")
        require(self.steps >= 0, f"steps must not be negative, got {self.steps}")
        require(self.lr > 0, f"lr must be positive, got {self.lr}")
        require(0 < self.decay <= 1, f"decay must be above 0 and at most 1, got {self.decay}")
        require(self.decay_every > 0, f"decay_every must be positive, got {self.decay_every}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Stages, data order and numerics of training (paper §4.2)."""

    stages: tuple[Literal["flow", "frame", "joint"], ...] = ("flow", "frame")
    """`flow` trains ML-MemAE-SC, `frame` the CVAE on frozen reconstructions, `joint` fine-tunes both (optional)."""

    flow: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    frame: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    joint: StageConfig = field(default_factory=lambda: StageConfig(epochs=80, lr=8e-5))

    batch: int = 128
    """Cubes a step."""

    adam_eps: float = 1e-7
    """Adam's ε."""

    seed: int = 0
    """Seeds initial weights, data order, dropout and latents."""

    window: int = 8192
    """Cubes that wait in the shuffle buffer: 32 KB each. Row groups are shuffled too."""

    amp: Literal["off", "bf16", "fp16"] = "off"
    """Mixed precision; fp16 scales the loss and needs a GPU."""

    compile: bool = False
    """Train through torch.compile."""

    channels_last: bool = True
    """Keep convolution weights and activations in channels-last order."""

    checkpoint_minutes: float = 5.0
    """A checkpoint is written this often, and after every epoch; 0: only after every epoch."""

    def __post_init__(self) -> None:
        order = [s for s in ("flow", "frame", "joint") if s in self.stages]
        require(bool(self.stages), "training.stages must name at least one stage")
        require(list(self.stages) == order, f"training.stages must be in the order flow, frame, joint: {self.stages}")
        require(self.batch > 1, f"training.batch must be at least 2 (BatchNorm), got {self.batch}")
        require(self.window >= self.batch, f"training.window must hold a batch of {self.batch}, got {self.window}")
        require(
            self.checkpoint_minutes >= 0, f"training.checkpoint_minutes must not be negative: {self.checkpoint_minutes}"
        )
