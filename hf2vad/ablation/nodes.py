"""Nodes of an ablation: what is cut, trained and scored once, however many rows need it.

A node is a value: two rows that need the same have equal nodes. Its results lie under a key made of its settings and of
the content of its cubes, `unit.json` last; a node that is there is not computed again, and one that was killed while
training goes on from its checkpoint.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load, save

from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import TrainingError
from hf2vad.features.feature import CubeArrays, Feature
from hf2vad.features.motion import DensityConfig
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes, feature_settings, with_feature_settings
from hf2vad.fitting.sample import cube_sample
from hf2vad.hashes import hash_of
from hf2vad.models.device import choose_device
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.settings import NETWORKS, FlowError, LossConfig, ModelConfig
from hf2vad.schema import ERRORS, pack_metadata
from hf2vad.scoring.scorer import in_heights
from hf2vad.settings import fingerprint
from hf2vad.storage import delete, exists, join, put_bytes, put_json, put_table, read_bytes
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.loop import Trainer
from hf2vad.training.order import Order
from hf2vad.training.settings import TrainingConfig

FITTED = 5000
"""Training cubes that a feature and the perspective are fitted on, at most."""
BATCH = 64
"""Cubes that the network scores at once."""


@dataclass(frozen=True)
class Cut:
    """The cubes of both archives under one extraction."""

    train: str
    test: str
    extraction: ExtractionConfig
    boxes: tuple[str, str]
    """Boxes of train and test; empty where the extraction finds them."""


@dataclass(frozen=True)
class Train:
    """One stage of training, on top of the weights of another."""

    cut: Cut
    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig
    """Training settings with exactly one stage enabled."""
    after: Train | None


@dataclass(frozen=True)
@with_feature_settings
class Score:
    """One feature of every test cube and of some training cubes."""

    cut: Cut
    part: str
    """Name of the feature."""
    after: Train | None
    """The network; none for a feature that needs none."""
    calibration_cubes: int
    flow_error: FlowError = "sum"
    """Rule that combines a cube's four flow errors into the feature `flow`."""
    density: DensityConfig = field(default_factory=DensityConfig)
    """Settings of `motion`."""
    perspective: bool = False
    """True if features that grow with an object's size are divided by the expected box height."""


Node = Train | Score


@dataclass(frozen=True)
class Tables:
    """Location of the cubes of a Cut."""

    train: str
    test: str
    fingerprint: str
    """Hash of what is in them."""
    seconds: float
    """Seconds that cutting took."""


@dataclass(frozen=True)
class Workspace:
    """Folders in which nodes are computed. Travels to the workers."""

    out: str
    tables: Mapping[Cut, Tables]
    device: str
    threads: int

    def name(self, node: Node) -> str:
        """Name of `node`: its kind, and a hash of its settings and its cubes."""
        what = f"score-{node.part}" if isinstance(node, Score) else f"train-{node.training.stages[0]}"
        return f"{what}-{hash_of(fingerprint(node), self.tables[node.cut].fingerprint)}"

    def folder(self, node: Node) -> str:
        """Folder with the results of `node`."""
        return join(self.out, "units", self.name(node))

    def is_done(self, node: Node) -> bool:
        """True if every result of `node` exists."""
        return exists(join(self.folder(node), "unit.json"))


def run_node(workspace: Workspace, node: Node) -> dict[str, Any]:
    """Compute `node` and put its results; returns what unit.json says.

    Raises TrainingError when training cannot go on, or leaves a network whose errors are not finite.
    """
    torch.set_num_threads(workspace.threads)
    device = choose_device(workspace.device)
    started = time.monotonic()
    tables = workspace.tables[node.cut]
    content = (
        _train(workspace, node, tables, device) if isinstance(node, Train) else _score(workspace, node, tables, device)
    )
    content |= {"seconds": round(time.monotonic() - started, 2), "hardware": hardware(device)}
    content["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    put_json(join(workspace.folder(node), "unit.json"), content)
    return content


def _train(workspace: Workspace, node: Train, tables: Tables, device: torch.device) -> dict[str, Any]:
    folder, table = workspace.folder(node), StcTable(tables.train)
    checkpoint = join(folder, "checkpoint.safetensors")
    model = _network(workspace, node)
    checkpoints = Checkpoints(checkpoint, settings=workspace.name(node))
    history = Trainer(model, table, node.training, node.loss, device, checkpoints).run()
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    put_bytes(join(folder, "weights.safetensors"), save(weights))
    delete(checkpoint)
    stage = getattr(node.training, node.training.stages[0])
    training = node.training
    epoch = Order(batch=training.batch, seed=training.seed, epoch=0, window=training.window, steps=stage.steps)
    steps = stage.epochs * epoch.batches(len(table))
    return {"cubes": len(table), "epochs": stage.epochs, "steps": steps, "history": history}


def _network(workspace: Workspace, node: Train) -> HF2VAD:
    """The network of `node` before training: weights of its seed, and those that the stage before has trained."""
    torch.manual_seed(node.training.seed)
    model = HF2VAD(node.model)
    if node.after is not None:
        trained = ("flow_autoencoder.",) if node.after.training.stages == ("flow",) else ("flow_autoencoder.", "cvae.")
        weights = load(read_bytes(join(workspace.folder(node.after), "weights.safetensors")))
        loaded = {name: value for name, value in weights.items() if name.startswith(trained)}
        model.load_state_dict({**model.state_dict(), **loaded})
    return model


def _score(workspace: Workspace, node: Score, tables: Tables, device: torch.device) -> dict[str, Any]:
    model = None
    if node.after is not None:
        model = HF2VAD(node.after.model)
        model.load_state_dict(load(read_bytes(join(workspace.folder(node.after), "weights.safetensors"))))
        model.config = replace(model.config, flow_error=node.flow_error)
        model.to(device).eval()
    feature = feature_classes()[node.part](feature_settings(node)[node.part])
    perspective = None
    if node.perspective or not feature.fitted:
        needs = set() if feature.fitted else feature.needs
        train = StcTable(tables.train)
        sample = cube_sample(train, most=FITTED, flow="flow" in needs, pixels="pixels" in needs)
        feature = feature.fit(sample)
        perspective = sample.perspective if node.perspective else None
    counts = {}
    for name, uri in (("test", tables.test), ("train", tables.train)):
        table = StcTable(uri)
        every = 1
        if name == "train" and node.calibration_cubes:
            every = math.ceil(len(table) / node.calibration_cubes)
        values = _measured(table, feature, model, perspective, device, every=max(1, every))
        put_table(join(workspace.folder(node), f"{name}.parquet"), values)
        counts[f"{name}_cubes"] = values.num_rows
    return counts


def _measured(
    table: StcTable,
    feature: Feature[Any],
    model: HF2VAD | None,
    perspective: Perspective | None,
    device: torch.device,
    *,
    every: int,
) -> pa.Table:
    """`feature` of every `every`-th cube of `table` (schema.ERRORS); of the network, only what it is made of runs."""
    networks = tuple(network for network in NETWORKS if network == feature.name)
    pixels = "pixels" in feature.needs or (model is not None and model.config.reads_pixels(networks))
    videos: list[str] = []
    frames, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    seen = 0
    for file, cubes in table.in_order(appearance=pixels):
        chosen = np.arange(-seen % every, len(cubes), every)
        seen += len(cubes)
        for start in range(0, len(chosen), BATCH):
            rows = chosen[start : start + BATCH]
            appearance = None if cubes.appearance is None else cubes.appearance[rows]
            flow, boxes = cubes.flow[rows], cubes.boxes[rows]
            errors = model.errors(cube_tensors(appearance, flow, device), networks) if model is not None else ()
            by_network = {network: error.cpu().numpy() for network, error in zip(networks, errors, strict=True)}
            value = feature.measure(CubeArrays(boxes=boxes, flow=flow, appearance=appearance, errors=by_network))
            if perspective is not None:
                value = in_heights({feature.name: value}, perspective.heights(boxes))[feature.name]
            values.append(value)
        videos += [file.video] * len(chosen)
        frames.append(cubes.frame[chosen])
    column = np.concatenate(values)
    if not np.isfinite(column).all():
        raise TrainingError(f"{table.uri}: the {feature.name} errors of its cubes are not finite")
    columns = [pa.array(videos, pa.string()), pa.array(np.concatenate(frames)), pa.array(column)]
    return pa.Table.from_arrays(columns, schema=ERRORS.with_metadata(pack_metadata("errors", {"part": feature.name})))


def hardware(device: torch.device) -> str:
    """The processor or accelerator that a node was computed on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"
