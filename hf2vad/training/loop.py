"""The training loop: stages, epochs, batches, with checkpoints to go on from exactly.

With a process group (`group`), every process runs this loop on its own share of the table, and they stay in step: same
number of batches, mean gradients, mean losses, one checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from hf2vad.errors import ConfigError, StoppedError, TrainingError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.losses import Loss
from hf2vad.models.settings import LossConfig
from hf2vad.progress import ProgressBar
from hf2vad.training.batches import Batch, Batches, Reconstructions, budget
from hf2vad.training.checkpoint import Checkpoint, Checkpoints, Progress
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.journal import Journals
from hf2vad.training.order import Order
from hf2vad.training.pictures import example_picture
from hf2vad.training.settings import StageConfig, TrainingConfig, check_workers
from hf2vad.training.stages import STAGES
from hf2vad.training.step import Step

LOOK_EVERY = 20
"""Batches between two looks at the loss."""


@dataclass
class Trainer:
    """Trains `model` on `table`, from the last checkpoint where there is one."""

    model: HF2VAD
    table: StcTable
    training: TrainingConfig
    loss: LossConfig
    device: torch.device
    checkpoints: Checkpoints
    group: Group = field(default_factory=Group)
    journals: Callable[[int], Journals] = lambda first_step: Journals()
    """Opens what curves and pictures are written to, from a step on; the first process alone has some."""
    stop: Callable[[], bool] = lambda: False
    """Asked after every batch, by GPUs that train together after every LOOK_EVERY; once true in one process, all write
    a checkpoint after the same batch and end with StoppedError."""

    def run(self) -> list[dict[str, Any]]:
        """Train all stages; returns one record an epoch (see Progress.history).

        Raises TrainingError for a table with too few cubes and for a loss that is not finite, ConfigError for a batch
        that cannot be shared among the processes, StoppedError when it was told to stop.
        """
        check_workers(self.training, self.group.world)
        self.table.require_cubes(2 * self.group.world)
        self.group.require_same(f"table {self.table.uri}", [int(self.table.fingerprint[:12], 16), len(self.table)])
        torch.manual_seed(self.training.seed + self.group.rank)
        memory_format = torch.channels_last if self.training.channels_last else torch.contiguous_format
        self.model.to(self.device, memory_format=memory_format)  # type: ignore[call-overload]
        if self.training.sync_batchnorm and self.group.world > 1:
            self._synchronise_batchnorm()
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.training.tf32
        checkpoint = self.checkpoints.load()
        progress = checkpoint.progress if checkpoint else Progress()
        if checkpoint:
            checkpoint.restore_model(self.model, self.group)
        with contextlib.ExitStack() as opened:
            if self.group.first and progress.stage < len(self.training.stages):
                self.open_journal = opened.enter_context(self.journals(progress.steps))
            while progress.stage < len(self.training.stages):
                self._run_stage(progress, checkpoint)
                checkpoint = None
        self.group.share(self.model.buffers())
        self.model.eval()
        return progress.history

    def __post_init__(self) -> None:
        self.open_journal = Journals()
        self._stopping = False

    def _synchronise_batchnorm(self) -> None:
        if self.device.type != "cuda":
            raise ConfigError("training.sync_batchnorm works on GPUs only; leave it out to train on CPUs")
        nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # type: ignore[no-untyped-call]

    def _run_stage(self, progress: Progress, checkpoint: Checkpoint | None) -> None:
        stage = STAGES[self.training.stages[progress.stage]]
        settings = getattr(self.training, stage.name)
        settings = settings.with_passes(self._order(progress, settings).batches(len(self.table)))
        plan = budget(self.table, self.training.cache_gib, frozen_flow=stage.frozen_flow)
        kept = Reconstructions(len(self.table), self.device) if plan.reconstructions else None
        step = Step(
            self.model,
            stage,
            replace(self.training, **{stage.name: settings}),
            self.loss,
            self.device,
            self.group,
            kept,
        )
        if checkpoint and progress.mid_stage:
            step.restore(checkpoint)
        batches = Batches(
            self.table, self.device, appearance=self.model.config.reads_pixels(stage.networks), memory=plan.table
        )
        number = progress.stage
        cubes = self._order(progress, settings).cubes(len(self.table))
        with ProgressBar(f"stage {stage.name}", total=settings.epochs * cubes, unit="cube") as bar:
            bar.advance(progress.epoch * cubes + progress.batch * self.training.batch)
            while progress.stage == number:
                step.set_rate(progress.epoch)
                self._run_epoch(progress, step, batches, bar)
                if progress.epoch == settings.epochs:
                    progress.stage, progress.epoch = number + 1, 0
                step.save(self.checkpoints, progress)
                if self._stopping:
                    raise _stopped(stage.name, progress.history[-1]["epoch"], "the last")

    def _order(self, progress: Progress, settings: StageConfig) -> Order:
        return Order(
            batch=self.training.batch,
            seed=self.training.seed,
            epoch=1_000_000 * progress.stage + progress.epoch,
            window=self.training.window,
            rank=self.group.rank,
            world=self.group.world,
            steps=settings.steps,
            skip=progress.batch,
        )

    def _run_epoch(self, progress: Progress, step: Step, batches: Batches, bar: ProgressBar) -> None:
        order = self._order(progress, step.settings)
        total = order.batches(len(self.table))
        watch = _Watch(self, progress, step, order, bar)
        with contextlib.closing(batches.epoch(order)) as ready:
            for batch in ready:
                watch.add(step(batch), batch)
                if progress.batch % LOOK_EVERY == 0:
                    watch.look()
                if self._asks_after_every_batch or progress.batch % LOOK_EVERY == 0 or progress.batch == total:
                    self._stopping = self.group.any(self.stop())
                if progress.batch < total and (self._stopping or watch.save_is_due()):
                    watch.look()
                    watch.save()
                    if self._stopping:
                        raise _stopped(step.stage.name, progress.epoch + 1, progress.batch)
        watch.close_epoch()

    @property
    def _asks_after_every_batch(self) -> bool:
        """GPUs would wait for each other's numbers, and their batches are short; those of CPUs may take seconds."""
        return self.group.device is None or self.group.device.type == "cpu"


def _stopped(stage: str, epoch: int, batch: object) -> StoppedError:
    place = f"stage {stage}, epoch {epoch}, batch {batch}"
    return StoppedError(f"a checkpoint is written ({place}); run the same command again to go on")


class _Watch:
    """The loss and the clock of one epoch; looks at the device only now and then, because looking waits for it."""

    def __init__(self, trainer: Trainer, progress: Progress, step: Step, order: Order, bar: ProgressBar) -> None:
        self._trainer, self._progress, self._step, self._order, self._bar = trainer, progress, step, order, bar
        self._journal = trainer.open_journal
        self._pending: dict[str, Tensor] = {}
        self._batches = 0
        """Batches that are pending."""
        self._last: Batch | None = None
        self._slots_kept: dict[str, Tensor] = {}
        self._first = progress.batch
        self._seconds_before = progress.seconds
        self._started = self._saved = time.monotonic()
        self._due = False

    def add(self, loss: Loss, batch: Batch) -> None:
        for name, term in {"loss": loss.total.detach(), **loss.terms}.items():
            self._pending[name] = self._pending[name] + term if name in self._pending else term
        self._slots_kept = loss.slots_kept
        self._last = batch
        self._batches += 1
        self._progress.batch += 1
        self._progress.steps += 1
        self._bar.advance(len(batch) * self._order.world)

    def look(self) -> None:
        """Add what is pending to the epoch's sums, show it, and stop when the loss is no number."""
        progress, stage = self._progress, self._step.stage.name
        overdue = float(self._overdue() and self._trainer.group.first)
        *means, overdue = self._trainer.group.mean([*map(float, self._pending.values()), overdue])
        names = list(self._pending)
        for name, value in zip(names, means, strict=True):
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        self._due = overdue > 0
        self._pending.clear()
        progress.seconds = self._seconds_before + time.monotonic() - self._started
        if not math.isfinite(progress.sums["loss"]):
            raise TrainingError(
                f"loss is {progress.sums['loss']} in stage {stage}, epoch {progress.epoch + 1}, "
                f"batch {progress.batch}; lower training.{stage}.lr, "
                f"or look for cubes with NaN flow in {self._trainer.table.uri}"
            )
        rate = self._samples(progress.batch - self._first) / max(time.monotonic() - self._started, 1e-9)
        mean = progress.sums["loss"] / progress.batch
        self._bar.advance(0, {"epoch": str(progress.epoch + 1), "loss": f"{mean:.5f}", "cubes/s": f"{rate:.0f}"})
        if self._journal.wanted and self._batches:
            self._note({name: value / self._batches for name, value in zip(names, means, strict=True)}, rate)
        self._batches = 0

    def _note(self, means: dict[str, float], rate: float) -> None:
        kept = {f"slots_kept/{level}": float(count) for level, count in self._slots_kept.items()}
        figures = {**means, **kept, "lr": self._step.rate, "samples_per_s": rate}
        stage = self._step.stage.name
        self._journal.scalars(self._progress.steps, {f"{stage}/{name}": value for name, value in figures.items()})

    def save_is_due(self) -> bool:
        """True if the last checkpoint is too old. The first process's clock decides for all."""
        return self._overdue() if self._order.world == 1 else self._due

    def save(self) -> None:
        self._step.save(self._trainer.checkpoints, self._progress)
        self._saved, self._due = time.monotonic(), False

    def close_epoch(self) -> None:
        self.look()
        progress = self._progress
        record = {
            "stage": self._step.stage.name,
            "epoch": progress.epoch + 1,
            "lr": self._step.rate,
            "seconds": round(progress.seconds, 2),
            "samples_per_s": round(self._samples(progress.batch) / max(progress.seconds, 1e-9), 1),
            **{name: value / progress.batch for name, value in progress.sums.items()},
            "slots_kept": {level: float(kept) for level, kept in self._slots_kept.items()},
        }
        progress.history.append(record)
        if self._journal.wanted and self._last is not None:
            stage = self._step.stage.name
            picture = example_picture(self._trainer.model, self._last.inputs, stage)
            self._journal.image(progress.steps, f"{stage}/examples", picture)
            self._journal.epoch_end()
        progress.epoch, progress.batch, progress.sums, progress.seconds = progress.epoch + 1, 0, {}, 0.0

    def _overdue(self) -> bool:
        minutes = self._trainer.training.checkpoint_minutes
        return bool(minutes) and time.monotonic() - self._saved > 60 * minutes

    def _samples(self, batches: int) -> int:
        return min(batches * self._order.batch, len(self._trainer.table))
