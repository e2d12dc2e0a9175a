"""One network of the toy experiment: learn the digit 2, reconstruct all digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.toy_digits.digits import Digits
from benchmarks.toy_digits.variants import Variant
from hf2vad.errors import TrainingError
from hf2vad.evaluation.auroc import auroc
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.losses import flow_loss
from hf2vad.models.settings import LossConfig
from hf2vad.schema import F32, F64
from hf2vad.training.settings import TrainingConfig
from hf2vad.training.stages import STAGES

EVALUATION_BATCH = 256
LOOK_EVERY = 20


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Size of a network, and how long it learns."""

    flow_root: int
    slots: int
    steps: int
    batch: int
    lr: float

    def epochs(self, images: int) -> float:
        """Passes over so many training images."""
        return self.steps / _batches(images, self.batch)


@dataclass(frozen=True)
class Outcome:
    """What one trained network makes of the test pictures."""

    auroc: float
    """Chance that another digit's error is above a held-out 2's."""
    errors: F64
    """(M,): mean squared error per pixel, over both channels: S_r of paper §3.3, divided by the number of values."""
    reconstructions: F32
    """(M, 32, 32): the mean of both channels."""
    slots_kept: dict[str, int]
    """Slots that at least one held-out 2 reads, by memory."""


def run(variant: Variant, digits: Digits, schedule: Schedule, seed: int, tick: Callable[[int, float], None]) -> Outcome:
    """Train and test one variant; `tick(steps, loss)` is called now and then with the steps since the last call.

    Deterministic for one number of torch threads.
    """
    model = train(variant, digits.train, schedule, seed, tick)
    both = reconstruct(model, digits.test)
    errors = np.square(both - digits.test[:, None]).mean((1, 2, 3), dtype=np.float64)
    found = auroc(digits.anomalous, errors)
    assert found is not None, "digits are of both kinds"
    return Outcome(found, errors, both.mean(1), slots_kept(model, digits.test[~digits.anomalous]))


def train(variant: Variant, images: F32, schedule: Schedule, seed: int, tick: Callable[[int, float], None]) -> HF2VAD:
    """The product's flow stage (Eq. 2, 3; METHOD: MSE and the entropy of the addressing) on (N, 32, 32) pictures.

    Raises TrainingError for a loss that is not finite.
    """
    torch.manual_seed(seed)
    model = HF2VAD(variant.config(flow_root=schedule.flow_root, slots=schedule.slots))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stage = STAGES["flow"]
    stage.prepare(model)
    parameters = [parameter for _, parameter in stage.parameters(model)]
    optimizer = torch.optim.Adam(parameters, lr=schedule.lr, eps=TrainingConfig().adam_eps, fused=True)
    order = np.random.default_rng(seed)
    inputs = as_flow(images)
    chosen: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for step in range(1, schedule.steps + 1):
        if not chosen:
            chosen = np.array_split(order.permutation(len(images)), _batches(len(images), schedule.batch))
        loss = flow_loss(model, _cubes(inputs[chosen.pop()]), LossConfig())
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % LOOK_EVERY == 0 or step == schedule.steps:
            value = float(loss.total.detach())
            if not np.isfinite(value):
                raise TrainingError(f"variant {variant.name}, step {step}: loss is {value}; lower --lr {schedule.lr}")
            tick((step - 1) % LOOK_EVERY + 1, value)
    return model.eval()


def as_flow(images: F32) -> Tensor:
    """(N, 2, 32, 32): pictures as the flow autoencoder takes them, each in both channels.

    So the network is the product's own, weight for weight; a picture is a flow with two equal components.
    """
    return torch.from_numpy(images)[:, None].repeat(1, 2, 1, 1)


@torch.inference_mode()
def reconstruct(model: HF2VAD, images: F32) -> F32:
    """(N, 2, 32, 32) for (N, 32, 32) pictures. The network must be in evaluation mode."""
    parts = [model.flow_autoencoder(part).flow for part in torch.split(as_flow(images), EVALUATION_BATCH)]
    found: F32 = torch.cat(parts).numpy()
    return found


@torch.inference_mode()
def slots_kept(model: HF2VAD, images: F32) -> dict[str, int]:
    """Slots that survive the shrinkage for at least one picture, by memory."""
    memories = model.flow_autoencoder(as_flow(images)).memories
    return {level: int(read.slots_kept) for level, read in memories.items()}


def nearest(digits: Digits) -> float:
    """The yardstick without a network: AUROC of the squared distance to the nearest training picture."""
    train, test = (torch.from_numpy(part).flatten(1).double() for part in (digits.train, digits.test))
    found = auroc(digits.anomalous, torch.cdist(test, train).amin(1).numpy())
    assert found is not None, "digits are of both kinds"
    return found


def _batches(images: int, batch: int) -> int:
    """How many an epoch has; they are of nearly one size, so that BatchNorm sees no small rest."""
    return max(1, round(images / batch))


def _cubes(flows: Tensor) -> CubeTensors:
    empty = flows.new_empty(len(flows), 0, *flows.shape[2:])
    return CubeTensors(empty, flows, empty)
