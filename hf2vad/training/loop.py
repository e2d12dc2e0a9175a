"""The training loop of one process: stages, epochs, batches, with checkpoints to go on from exactly."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf2vad.config import LossConfig, StageConfig, TrainingConfig
from hf2vad.errors import TrainingError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.losses import Loss
from hf2vad.progress import ProgressBar
from hf2vad.threads import prefetch
from hf2vad.training.checkpoint import Checkpoint, Checkpoints, Progress
from hf2vad.training.data import Cubes, StcTable
from hf2vad.training.stages import STAGES, Stage

LOOK_EVERY = 20
"""Batches between two looks at the loss."""

AUTOCAST = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Trainer:
    """Trains `model` on `table`, from the last checkpoint where there is one."""

    model: HF2VAD
    table: StcTable
    training: TrainingConfig
    loss: LossConfig
    device: torch.device
    checkpoints: Checkpoints

    def run(self) -> list[dict[str, Any]]:
        """Train all stages; returns one record an epoch (see Progress.history).

        Raises TrainingError for a table with too few cubes and for a loss that is not finite.
        """
        self.table.require_cubes(2)
        torch.manual_seed(self.training.seed)
        memory_format = torch.channels_last if self.training.channels_last else torch.contiguous_format
        self.model.to(self.device, memory_format=memory_format)  # type: ignore[call-overload]
        found = self.checkpoints.load()
        progress = found.progress if found else Progress()
        if found:
            found.restore_model(self.model)
        while progress.stage < len(self.training.stages):
            self._run_stage(progress, found)
            found = None
        self.model.eval()
        return progress.history

    def _run_stage(self, progress: Progress, found: Checkpoint | None) -> None:
        stage = STAGES[self.training.stages[progress.stage]]
        settings: StageConfig = getattr(self.training, stage.name)
        stage.prepare(self.model)
        parameters = dict(stage.parameters(self.model))
        optimizer = torch.optim.Adam(parameters.values(), lr=settings.lr, eps=self.training.adam_eps, fused=True)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.training.amp == "fp16")
        if found and progress.mid_stage:
            found.restore_optimizer(optimizer, parameters)
            scaler.load_state_dict(found.scale)
        step = _Step(self, stage, optimizer, scaler, parameters)
        number = progress.stage
        steps = self._epoch_steps(settings)
        epoch_cubes = min(steps * self.training.batch, len(self.table))
        with ProgressBar(f"stage {stage.name}", total=settings.epochs * epoch_cubes, unit="cubes") as bar:
            bar.advance(progress.epoch * epoch_cubes + progress.batch * self.training.batch)
            while progress.stage == number:
                optimizer.param_groups[0]["lr"] = settings.lr * settings.decay ** (
                    progress.epoch // settings.decay_every
                )
                self._run_epoch(progress, step, bar, steps)
                if progress.epoch == settings.epochs:
                    progress.stage, progress.epoch = number + 1, 0
                step.save(progress)

    def _epoch_steps(self, settings: StageConfig) -> int:
        return min(self.table.epoch_batches(self.training.batch), settings.steps or sys.maxsize)

    def _run_epoch(self, progress: Progress, step: _Step, bar: ProgressBar, total: int) -> None:
        config = self.training
        batches = self.table.epoch(
            batch=config.batch,
            seed=config.seed,
            epoch=1_000_000 * progress.stage + progress.epoch,
            window=config.window,
            appearance=step.stage.needs_appearance,
            skip=progress.batch,
        )
        watch = _Watch(progress, step, bar)
        with contextlib.closing(prefetch(batches, depth=4)) as ready:
            for cubes in itertools.islice(ready, total - progress.batch):
                watch.add(step(cubes), len(cubes))
                if progress.batch % LOOK_EVERY == 0:
                    watch.look()
                if (
                    config.checkpoint_minutes
                    and watch.since_save() > 60 * config.checkpoint_minutes
                    and progress.batch < total
                ):
                    watch.look()
                    watch.save()
        watch.close_epoch()


@dataclass
class _Step:
    """One optimizer step on one batch of cubes."""

    trainer: Trainer
    stage: Stage
    optimizer: torch.optim.Adam
    scaler: torch.amp.GradScaler
    parameters: dict[str, nn.Parameter]

    def __post_init__(self) -> None:
        self._loss = torch.compile(self.stage.loss) if self.trainer.training.compile else self.stage.loss

    def __call__(self, cubes: Cubes) -> Loss:
        trainer = self.trainer
        inputs = cube_tensors(cubes.appearance, cubes.flow, trainer.device)
        dtype = AUTOCAST[trainer.training.amp]
        with torch.autocast(trainer.device.type, dtype=dtype, enabled=dtype is not None):
            loss: Loss = self._loss(trainer.model, inputs, trainer.loss)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss.total).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def save(self, progress: Progress) -> None:
        self.trainer.checkpoints.save(
            progress, self.trainer.model, self.optimizer, self.parameters, self.scaler.state_dict()
        )


class _Watch:
    """The loss and the clock of one epoch; looks at the device only now and then, because looking waits for it."""

    def __init__(self, progress: Progress, step: _Step, bar: ProgressBar) -> None:
        self._progress, self._step, self._bar = progress, step, bar
        self._pending: dict[str, Tensor] = {}
        self._slots_kept: dict[str, Tensor] = {}
        self._first = progress.batch
        self._seconds_before = progress.seconds
        self._started = self._saved = time.monotonic()

    def add(self, loss: Loss, cubes: int) -> None:
        for name, term in {"loss": loss.total.detach(), **loss.terms}.items():
            self._pending[name] = self._pending[name] + term if name in self._pending else term
        self._slots_kept = loss.slots_kept
        self._progress.batch += 1
        self._bar.advance(cubes)

    def look(self) -> None:
        """Add what is pending to the epoch's sums, show it, and stop when the loss is no number."""
        progress, stage = self._progress, self._step.stage.name
        for name, value in self._pending.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(value)
        self._pending.clear()
        progress.seconds = self._seconds_before + time.monotonic() - self._started
        if not math.isfinite(progress.sums["loss"]):
            raise TrainingError(
                f"loss is {progress.sums['loss']} in stage {stage}, epoch {progress.epoch + 1}, "
                f"batch {progress.batch}; lower training.{stage}.lr, "
                f"or look for cubes with NaN flow in {self._step.trainer.table.uri}"
            )
        rate = self._samples(progress.batch - self._first) / max(time.monotonic() - self._started, 1e-9)
        mean = progress.sums["loss"] / progress.batch
        self._bar.advance(0, {"epoch": str(progress.epoch + 1), "loss": f"{mean:.5f}", "cubes/s": f"{rate:.0f}"})

    def since_save(self) -> float:
        return time.monotonic() - self._saved

    def save(self) -> None:
        self._step.save(self._progress)
        self._saved = time.monotonic()

    def close_epoch(self) -> None:
        self.look()
        progress = self._progress
        record = {
            "stage": self._step.stage.name,
            "epoch": progress.epoch + 1,
            "lr": self._step.optimizer.param_groups[0]["lr"],
            "seconds": round(progress.seconds, 2),
            "samples_per_s": round(self._samples(progress.batch) / max(progress.seconds, 1e-9), 1),
            **{name: value / progress.batch for name, value in progress.sums.items()},
            "slots_kept": {level: float(kept) for level, kept in self._slots_kept.items()},
        }
        progress.history.append(record)
        progress.epoch, progress.batch, progress.sums, progress.seconds = progress.epoch + 1, 0, {}, 0.0

    def _samples(self, batches: int) -> int:
        return min(batches * self._step.trainer.training.batch, len(self._step.trainer.table))
