"""The whole toy experiment: six variants, several seeds; one JSON and one figure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.toy_digits import picture
from benchmarks.toy_digits.digits import NORMAL, Digits, read_digits
from benchmarks.toy_digits.experiment import Outcome, Schedule, nearest, run
from benchmarks.toy_digits.variants import VARIANTS, Variant
from hf2vad.progress import ProgressBar
from hf2vad.schema import U8
from hf2vad.settings import require
from hf2vad.storage import join, put_bytes, put_json

SHOWN = 2
"""Held-out 2s in the figure, beside one of each other digit: the first of the test pictures, none chosen."""


@dataclass(frozen=True, kw_only=True)
class ToyJob:
    """Settings of benchmarks/toy.py."""

    mnist: str = ""
    """Folder with MNIST's four idx files, plain or .gz; empty: scikit-learn's digits."""

    out: str = ""
    """Folder for the JSON and the figure; empty: benchmarks/results and docs/images."""

    seeds: int = 3
    """Trainings of each variant, with seeds 0, 1, ...; a seed also splits scikit-learn's digits."""

    steps: int = 400
    """Optimizer steps of a training."""

    batch: int = 16
    """Pictures a step."""

    lr: float = 3e-3
    """Learning rate of Adam."""

    flow_root: int = 8
    """Channels of the first level."""

    slots: int = 100
    """Slots of each memory."""

    threads: int = 1
    """Torch threads; results are the same only for the same number."""

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "flow_root", "threads"):
            value = getattr(self, name)
            require(value > 0, f"--{name.replace('_', '-')} must be positive, got {value}")
        require(self.batch > 1, f"--batch must be at least 2 (BatchNorm), got {self.batch}")
        require(self.slots > 1, f"--slots must be at least 2, got {self.slots}")
        require(self.lr > 0, f"--lr must be positive, got {self.lr}")

    @property
    def name(self) -> str:
        """What its files are called."""
        return "toy_mnist" if self.mnist else "toy"

    @property
    def schedule(self) -> Schedule:
        """What a single training needs to know."""
        return Schedule(flow_root=self.flow_root, slots=self.slots, steps=self.steps, batch=self.batch, lr=self.lr)


def toy_job(job: ToyJob, *, machine: Mapping[str, object], results: str, images: str) -> dict[str, Any]:
    """Run the experiment; put <name>.json into `results` and <name>.png into `images`; returns the JSON's content.

    Raises NotFoundError, SchemaError or EvaluationError for MNIST files that are missing or none, and TrainingError for
    a loss that is not finite. Nothing is put then.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    splits = [read_digits(job.mnist, seed) for seed in range(job.seeds)]
    with _torch_threads(job.threads):
        outcomes = _run_all(job, splits)
        yardstick = [nearest(digits) for digits in splits]
    rows = [_record(variant, found, splits) for variant, found in outcomes.items()]
    first = splits[0]
    result = {
        "benchmark": job.name,
        "machine": dict(machine),
        "data": {
            "source": _source(job),
            "train": len(first.train),
            "test_normal": int((~first.anomalous).sum()),
            "test_other": int(first.anomalous.sum()),
        },
        "seeds": list(range(job.seeds)),
        "epochs": round(job.schedule.epochs(len(first.train)), 1),
        "settings": {**vars(job.schedule), "threads": job.threads},
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu_started, 1),
        "variants": rows,
        "nearest_training_picture": {"auroc": yardstick},
    }
    put_json(join(results, f"{job.name}.json"), result)
    put_bytes(join(images, f"{job.name}.png"), picture.png(_figure(job, first, outcomes)))
    return result


def _run_all(job: ToyJob, splits: list[Digits]) -> dict[Variant, list[Outcome]]:
    outcomes: dict[Variant, list[Outcome]] = {variant: [] for variant in VARIANTS}
    with ProgressBar("toy", total=len(VARIANTS) * job.seeds * job.steps, unit="step") as bar:
        for seed, digits in enumerate(splits):
            for variant, found in outcomes.items():

                def tick(steps: int, loss: float, where: str = f"({variant.name}) seed {seed}") -> None:
                    bar.advance(steps, {where: f"loss {loss:.5f}"})

                found.append(run(variant, digits, job.schedule, seed, tick))
    return outcomes


def _record(variant: Variant, found: list[Outcome], splits: list[Digits]) -> dict[str, Any]:
    """Figures of one variant, each as a list with one entry a seed."""
    pairs = list(zip(found, splits, strict=True))
    return {
        "variant": variant.name,
        "memories": list(variant.memories),
        "skips": list(variant.skips),
        "auroc": [outcome.auroc for outcome in found],
        "error_normal": [float(outcome.errors[~digits.anomalous].mean()) for outcome, digits in pairs],
        "error_other": [float(outcome.errors[digits.anomalous].mean()) for outcome, digits in pairs],
        "slots_kept": {level: [outcome.slots_kept[level] for outcome in found] for level in variant.memories},
    }


def _source(job: ToyJob) -> str:
    return "MNIST" if job.mnist else "sklearn.datasets.load_digits"


def _figure(job: ToyJob, digits: Digits, outcomes: Mapping[Variant, list[Outcome]]) -> U8:
    """Of the first seed; the AUROC is the mean over all."""
    others = [digit for digit in np.unique(digits.classes) if digit != NORMAL]
    shown = np.concatenate(
        [np.flatnonzero(~digits.anomalous)[:SHOWN], [np.flatnonzero(digits.classes == digit)[0] for digit in others]]
    )
    rows = [picture.Row(["input", _source(job)], digits.test[shown])]
    for variant, found in outcomes.items():
        mean = 100 * np.mean([outcome.auroc for outcome in found])
        labels = [
            f"({variant.name}) AUROC {mean:.1f} %",
            f"memories: {', '.join(variant.memories)}",
            f"skips: {', '.join(variant.skips) or 'none'}",
        ]
        rows.append(picture.Row(labels, found[0].reconstructions[shown], found[0].errors[shown]))
    foot = (
        f"Number: mean squared error x 1000. Pictures: seed 0, step {job.steps}. AUROC: mean of {job.seeds} trainings."
    )
    return picture.draw(rows, normal=min(SHOWN, int((~digits.anomalous).sum())), foot=foot)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
