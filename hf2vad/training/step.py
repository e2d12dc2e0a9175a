"""One optimizer step, alone or together with the other processes of a group (DistributedDataParallel)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.losses import Loss
from hf2vad.models.settings import LossConfig
from hf2vad.training.adam import Adam
from hf2vad.training.batches import Batch, Reconstructions
from hf2vad.training.checkpoint import Checkpoint, Checkpoints, Progress
from hf2vad.training.group import Group
from hf2vad.training.settings import StageConfig, TrainingConfig
from hf2vad.training.stages import Stage

AUTOCAST = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class StageLoss(nn.Module):
    """The loss of one stage as a module, which is what DistributedDataParallel wraps."""

    def __init__(self, model: HF2VAD, stage: Stage, config: LossConfig, *, compiled: bool) -> None:
        super().__init__()
        self.model = model
        self._config = config
        self._loss = torch.compile(stage.loss) if compiled else stage.loss

    def forward(self, inputs: CubeTensors, known: Tensor | None) -> Loss:
        """The loss on a batch; `known`: reconstructions of its flows, where they are kept."""
        loss: Loss = self._loss(self.model, inputs, self._config, known)
        return loss


@dataclass
class Step:
    """Optimizer steps of one stage. With several processes, gradients are the mean of theirs, and so are losses."""

    model: HF2VAD
    stage: Stage
    training: TrainingConfig
    loss: LossConfig
    device: torch.device
    group: Group
    known: Reconstructions | None
    """Kept reconstructions of the frozen flow autoencoder, where there are any."""

    def __post_init__(self) -> None:
        self.stage.prepare(self.model)
        self.settings: StageConfig = getattr(self.training, self.stage.name)
        self.parameters = dict(self.stage.parameters(self.model))
        self.optimizer = Adam(self.parameters.values(), lr=self.settings.lr, eps=self.training.adam_eps, fused=True)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.training.amp == "fp16")
        self._loss: nn.Module = StageLoss(self.model, self.stage, self.loss, compiled=self.training.compile)
        if self.group.world > 1:
            self.group.share([*self.model.parameters(), *self.model.buffers()])
            has_statistics = any(True for _ in self.stage.learner(self.model).buffers())
            self._loss = DistributedDataParallel(
                self._loss, broadcast_buffers=has_statistics, gradient_as_bucket_view=True
            )

    def restore(self, found: Checkpoint) -> None:
        """Adam's moments and the loss scale as they were."""
        found.restore_optimizer(self.optimizer, self.parameters)
        self._scaler.load_state_dict(found.scale)

    def set_rate(self, epoch: int) -> None:
        """The learning rate of an epoch."""
        self.optimizer.param_groups[0]["lr"] = self.settings.lr * self.settings.decay ** (
            epoch // self.settings.decay_every
        )

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def __call__(self, batch: Batch) -> Loss:
        """Learn from a batch; returns the loss of this process's part of it."""
        dtype = AUTOCAST[self.training.amp]
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            known = self.known.of(self.model, batch) if self.known else None
            loss: Loss = self._loss(batch.inputs, known)
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss.total).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return loss

    def save(self, checkpoints: Checkpoints, progress: Progress) -> None:
        """Put a checkpoint; all processes take part."""
        checkpoints.save(progress, self.model, self.optimizer, self.parameters, self._scaler.state_dict())
