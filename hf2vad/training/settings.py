"""Stages, data order and numerics of training."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from hf2vad.errors import ConfigError
from hf2vad.models.settings import Network
from hf2vad.settings import OMIT_DEFAULT, fingerprint, require, to_dict


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One training stage."""

    epochs: int
    """Passes over the training cubes."""

    lr: float = 1e-4
    """Learning rate of Adam at the start."""

    decay: float = 0.8
    """The learning rate is multiplied by this ..."""

    decay_every: int = 50
    """... after every so many epochs."""

    steps: int = 0
    """Optimizer steps an epoch at most, over a part of the table that changes from epoch to epoch; 0: all of it."""

    least_steps: int = field(default=0, metadata={OMIT_DEFAULT: True})
    """Optimizer steps of the stage at least. A table that is too small for them in `epochs` passes is passed over twice
    as often, or three times …, and the learning rate falls as much more slowly. 0: `epochs` passes, whatever its
    size."""

    def __post_init__(self) -> None:
        require(self.epochs > 0, f"epochs must be positive, got {self.epochs}")
        require(self.lr > 0, f"lr must be positive, got {self.lr}")
        require(0 < self.decay <= 1, f"decay must be above 0 and at most 1, got {self.decay}")
        require(self.decay_every > 0, f"decay_every must be positive, got {self.decay_every}")
        require(self.steps >= 0, f"steps must not be negative, got {self.steps}")
        require(self.least_steps >= 0, f"least_steps must not be negative, got {self.least_steps}")

    def with_passes(self, steps: int) -> StageConfig:
        """These settings with as many epochs as `least_steps` asks for, where an epoch has so many steps."""
        times = max(1, math.ceil(self.least_steps / (self.epochs * steps)))
        return replace(self, epochs=times * self.epochs, decay_every=times * self.decay_every)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Stages, data order and numerics of training (paper §4.2)."""

    stages: tuple[Literal["flow", "frame", "joint"], ...] = ("flow", "frame")
    """`flow` trains ML-MemAE-SC, `frame` the CVAE on frozen reconstructions, `joint` fine-tunes both (optional).
    None: there is no network."""

    flow: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    frame: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    joint: StageConfig = field(default_factory=lambda: StageConfig(epochs=80, lr=8e-5))

    batch: int = 128
    """Cubes a step, over all workers together: of N workers each takes batch / N. The learning rate is used as it is,
    whatever their number."""

    adam_eps: float = 1e-7
    """Adam's ε."""

    seed: int = 0
    """Seeds initial weights, data order, dropout and latents."""

    window: int = 8192
    """Cubes that wait in the shuffle buffers of all workers together: 32 KB each. Row groups are shuffled too."""

    cache_gib: float = 2.0
    """Memory, of the GPU where there is one, in which each worker keeps the decoded table and, for the frame stage, the
    frozen autoencoder's reconstructions; what does not fit as a whole is read or computed again in every epoch.
    64 KB a cube for both; 0: keep nothing."""

    sync_batchnorm: bool = False
    """BatchNorm over the batches of all workers together; on GPUs only."""

    amp: Literal["off", "bf16", "fp16"] = "off"
    """Mixed precision; fp16 scales the loss and needs a GPU."""

    compile: bool = False
    """Train through torch.compile."""

    tf32: bool = True
    """Let a GPU multiply matrices in TF32: faster, with 10 bits of mantissa."""

    channels_last: bool = True
    """Keep convolution weights and activations in channels-last order."""

    probe_cubes: int = 16
    """Training cubes that travel in the bundle, 32 KB each, for engines to be compared on; 0: noise is used."""

    examples: int = 256
    """Training cubes whose pictures travel in the bundle, 7 KB each, to be shown beside events; 0: none."""

    checkpoint_minutes: float = 5.0
    """A checkpoint is written this often, and after every epoch; 0: only after every epoch."""

    tensorboard: bool = True
    """Write curves and example images to tensorboard/ beside the bundle."""

    def __post_init__(self) -> None:
        order = [s for s in ("flow", "frame", "joint") if s in self.stages]
        require(list(self.stages) == order, f"training.stages must be in the order flow, frame, joint: {self.stages}")
        require(self.batch > 1, f"training.batch must be at least 2 (BatchNorm), got {self.batch}")
        require(self.window >= self.batch, f"training.window must hold a batch of {self.batch}, got {self.window}")
        require(
            self.checkpoint_minutes >= 0, f"training.checkpoint_minutes must not be negative: {self.checkpoint_minutes}"
        )
        require(self.probe_cubes >= 0, f"training.probe_cubes must not be negative: {self.probe_cubes}")
        require(self.examples >= 0, f"training.examples must not be negative: {self.examples}")
        require(self.cache_gib >= 0, f"training.cache_gib must not be negative: {self.cache_gib}")

    def for_networks(self, networks: Collection[Network]) -> TrainingConfig:
        """Without the stages that train nothing of `networks`."""
        needed = {"flow": bool(networks), "frame": "frame" in networks, "joint": "frame" in networks}
        return replace(self, stages=tuple(stage for stage in self.stages if needed[stage]))

    @property
    def identity(self) -> str:
        """A hash of what decides the result: not what is cached, and not what is written when."""
        default = TrainingConfig()
        same = replace(
            self,
            cache_gib=default.cache_gib,
            checkpoint_minutes=default.checkpoint_minutes,
            tensorboard=default.tensorboard,
        )
        # A former setting stays in the hash, so that checkpoints and bundles of before are still these settings'.
        return fingerprint(to_dict(same) | {"reader": "direct"})


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Candidates of `--select`, and the effort spent on each."""

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


def check_workers(training: TrainingConfig, workers: int) -> None:
    """Raise ConfigError unless `workers` processes can share a batch."""
    if training.batch % workers or training.batch // workers < 2:
        raise ConfigError(
            f"training.batch is shared by all workers: {training.batch} must be a multiple of {workers}, with at least "
            f"2 cubes for each (BatchNorm)"
        )
