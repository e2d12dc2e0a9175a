"""Checkpoints: one safetensors object with weights, Adam's moments and random states, and a JSON header for the rest.

It is put atomically under one key, so the last good one stays when a write fails or is killed. Of several processes
that train together, the first one writes and all read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from hf2vad.errors import TrainingError
from hf2vad.storage import exists, put_bytes, read_bytes
from hf2vad.training.group import Group

VERSION = 2


@dataclass
class Progress:
    """State of a training: position, losses so far."""

    stage: int = 0
    """Index of the stage in TrainingConfig.stages; past the last one when training is done."""
    epoch: int = 0
    """Epochs of that stage that are complete."""
    batch: int = 0
    """Batches of the current epoch that are done."""
    steps: int = 0
    """Optimizer steps from the beginning of training."""
    sums: dict[str, float] = field(default_factory=dict)
    """Loss terms summed over the current epoch's batches."""
    seconds: float = 0.0
    """Time spent in the current epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record an epoch: stage, epoch, lr, seconds, samples_per_s, loss terms, slots kept."""

    @property
    def mid_stage(self) -> bool:
        """True if the current stage has begun."""
        return self.epoch > 0 or self.batch > 0


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint."""

    progress: Progress
    tensors: Mapping[str, Tensor]
    scale: dict[str, Any]
    """State of the loss scaler."""
    world: int
    """Processes that trained."""

    def restore_model(self, model: nn.Module, group: Group) -> None:
        """Weights, and this process's random state, as they were.

        Where another number of processes goes on, each gets a random state of its own that follows from the old one.
        """
        model.load_state_dict({k.removeprefix("model/"): v for k, v in self.tensors.items() if k.startswith("model/")})
        if group.world != self.world:
            torch.set_rng_state(self.tensors["rng/cpu/0"])
            torch.manual_seed(int(torch.randint(2**40, ())) + group.rank)
            return
        torch.set_rng_state(self.tensors[f"rng/cpu/{group.rank}"])
        if f"rng/cuda/{group.rank}" in self.tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.tensors[f"rng/cuda/{group.rank}"])

    def restore_optimizer(self, optimizer: torch.optim.Adam, parameters: Mapping[str, nn.Parameter]) -> None:
        """Adam's moments as they were; `parameters` are the optimizer's, by name."""
        for name, parameter in parameters.items():
            step = self.tensors[f"adam/step/{name}"].to(parameter.device)
            moments = {
                key: torch.empty_like(parameter).copy_(self.tensors[f"adam/{key}/{name}"])
                for key in ("exp_avg", "exp_avg_sq")
            }
            optimizer.state[parameter] = {"step": step, **moments}


class Checkpoints:
    """The checkpoint of one training run, under one URI."""

    def __init__(self, uri: str, *, settings: str, group: Group | None = None) -> None:
        """`settings`: a hash of everything that decides the result; a checkpoint of other settings is refused.

        `group`: the processes that train together, none: this one alone.
        """
        self.uri, self.settings, self.group = uri, settings, group or Group()

    def save(
        self,
        progress: Progress,
        model: nn.Module,
        optimizer: torch.optim.Adam,
        parameters: Mapping[str, nn.Parameter],
        scale: dict[str, Any],
    ) -> None:
        """Put the state of training under the URI, in place of the last one; all processes take part.

        Raises StorageError in all of them when it cannot be written (a full disk); the last one is still there then.
        """
        random = {"rng/cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["rng/cuda"] = torch.cuda.get_rng_state()
        states = {
            f"{name}/{rank}": state for name, own in random.items() for rank, state in enumerate(self.group.gather(own))
        }

        def put() -> None:
            tensors = {**states, **{f"model/{name}": value for name, value in model.state_dict().items()}}
            for name, parameter in parameters.items():
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    tensors[f"adam/{key}/{name}"] = optimizer.state[parameter][key]
            header = {
                "version": VERSION,
                "settings": self.settings,
                "world": self.group.world,
                "progress": vars(progress),
                "scale": scale,
            }
            contents = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
            put_bytes(self.uri, save(contents, metadata={"hf2vad": json.dumps(header)}))

        self.group.first_does(put)

    def load(self) -> Checkpoint | None:
        """The checkpoint, or none where there is none.

        Raises TrainingError when it belongs to other settings or is damaged, and when not all processes see the same.
        """
        checkpoint = self._read()
        at = checkpoint.progress if checkpoint else Progress()
        self.group.require_same(f"checkpoint {self.uri}", [checkpoint is not None, at.stage, at.epoch, at.batch])
        return checkpoint

    def _read(self) -> Checkpoint | None:
        if not exists(self.uri):
            return None
        data = read_bytes(self.uri)
        try:
            length = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["hf2vad"])
            tensors = load(data)
        except (SafetensorError, ValueError, KeyError) as error:
            raise TrainingError(f"{self.uri}: damaged checkpoint ({error}); remove it to start anew") from None
        if header["version"] != VERSION or header["settings"] != self.settings:
            raise TrainingError(
                f"{self.uri}: this checkpoint was made with other settings or another table; "
                "train into another --out, or remove it to start anew"
            )
        return Checkpoint(Progress(**header["progress"]), tensors, header["scale"], header["world"])
