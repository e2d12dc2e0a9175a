"""A bundle from an STC table: trains the network, fits features, calibrates the score.

Both steps are called alone or by all processes of a group, in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from hf2vad.bundle.bundle import Bundle, save_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.engines.eager import EagerEngine
from hf2vad.errors import ConfigError
from hf2vad.features.registry import networks_for
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.edges import with_edge_scales
from hf2vad.fitting.hold_out import hold_out
from hf2vad.fitting.measure import measure_normal
from hf2vad.fitting.probe import example_cameras, learnt_seconds, normal_examples, probe_cubes
from hf2vad.fitting.recipe import TrainingPlan
from hf2vad.fitting.sample import NO_CAMERAS, fit_features
from hf2vad.fitting.select import read_selection
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import NETWORKS, Network
from hf2vad.scoring.feature_set import FeatureSet, counted_features
from hf2vad.settings import flat
from hf2vad.storage import join
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.initial import put_initial
from hf2vad.training.journal import Journal, Journals, MLflow, TensorBoard
from hf2vad.training.loop import Trainer
from hf2vad.training.stages import STAGES
from hf2vad.versions import versions


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, and how it came about."""

    model: HF2VAD | None
    """None for a recipe without a network."""
    networks: tuple[Network, ...]
    """Networks of it that were trained, here or before."""
    plan: TrainingPlan
    """This plan with the selected settings."""
    identity: str
    """Hash of the recipe as it was given, and of the table."""
    history: list[dict[str, Any]]
    """A row an epoch."""
    selection: list[dict[str, Any]]
    """A row a candidate; empty where nothing was chosen."""


def train_network(plan: TrainingPlan, table: StcTable, device: torch.device, stopped: Callable[[], bool]) -> Trained:
    """Train the network of `plan`, if it has one, on `table`, from the last checkpoint where there is one.

    `stopped`: asked whether to stop; StoppedError is raised then, with a checkpoint written.
    """
    identity, rows = plan.recipe.identity(table), []
    if plan.recipe.selection:
        choice = read_selection(plan.choice)
        plan, rows = plan.with_choice(choice), choice.figures
    group, recipe = Group.current(device), plan.recipe
    if not recipe.has_network:
        return Trained(None, (), plan, identity, [], rows)
    torch.manual_seed(recipe.training.seed)
    model = HF2VAD(recipe.model)
    trained = {network for stage in recipe.training.stages for network in STAGES[stage].networks}
    if recipe.init:
        trained.update(put_initial(recipe.init, model))
    networks = tuple(network for network in NETWORKS if network in trained)
    if absent := [network for network in networks_for(recipe.fusion.weights) if network not in networks]:
        raise ConfigError(
            f"--init {recipe.init}: has no {' and '.join(absent)} network; add its stage to training.stages"
        )
    if recipe.holds_out:
        cameras = Cameras.of(table.files, recipe.camera_pattern, one=recipe.one_camera)
        table, _ = hold_out(table, cameras.apart_of)
    checkpoints = Checkpoints(plan.checkpoint, settings=identity, group=group)
    journals = partial(_journals, plan)
    trainer = Trainer(
        model, table, recipe.training, recipe.loss, device, checkpoints, group=group, journals=journals, stop=stopped
    )
    return Trained(model, networks, plan, identity, trainer.run(), rows)


def put_trained(trained: Trained, table: StcTable, device: torch.device) -> None:
    """Fit the features, calibrate the score and put the bundle of a network that was trained on `table`."""
    group, plan, recipe = Group.current(device), trained.plan, trained.plan.recipe
    own = {name: settings for name, settings in recipe.features.items() if name in counted_features(recipe.fusion)}
    by_surprise = recipe.fusion.rule == "surprise"
    cameras = Cameras.of(table.files, recipe.camera_pattern, one=recipe.one_camera)
    apart = cameras if by_surprise else NO_CAMERAS
    features, perspective = fit_features(table, own, seed=recipe.training.seed, cameras=apart)
    networks, batch = networks_for(features), recipe.training.batch
    engine = None
    if networks and trained.model is not None:
        engine = EagerEngine(trained.model, device=device, batch=batch, networks=networks)
    unit = perspective if recipe.fusion.perspective else None
    unseen = hold_out(table, cameras.apart_of)[1] if recipe.holds_out else None
    measured, plain = measure_normal(table, unseen, FeatureSet(features, engine, batch), unit, group, apart)
    if not group.first:
        return
    if by_surprise:
        features, measured, plain = with_edge_scales(features, measured, plain)
    normal = calibrate(
        measured,
        fusion=recipe.fusion,
        smoothing=recipe.smoothing_of(table),
        where=plan.stc,
        cameras=cameras,
        camera_cubes=recipe.camera_cubes,
        plain=plain,
    )
    bundle = Bundle(
        settings=BundleSettings(
            extraction=table.extraction,
            model=recipe.model,
            fusion=recipe.fusion,
            smoothing=recipe.smoothing_of(table),
            calibration=normal.overall,
            camera_pattern=recipe.camera_pattern,
            cameras=normal.cameras,
            features={name: feature.settings for name, feature in features.items()},
            perspective=perspective,
        ),
        weights={} if trained.model is None else trained.model.weights_of(trained.networks),
        features=features,
        probe=probe_cubes(table, recipe.training.probe_cubes),
        examples=normal_examples(table, recipe.training.examples),
        provenance={
            "settings": trained.identity,
            "job": plan.settings,
            "table": {
                "uri": plan.stc,
                "fingerprint": table.fingerprint,
                "cubes": len(table),
                "files": len(table.files),
                "held_out": 0 if unseen is None else len(unseen),
                "videos": len({file.video for file in table.files}),
                "seconds": round(learnt_seconds(table), 1),
            },
            "examples": list(example_cameras(table, recipe.training.examples, cameras)),
            "history": trained.history,
            "selection": trained.selection,
            **({"cameras": cameras.described()} if cameras.apart and by_surprise else {}),
            "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
            "workers": group.world,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
        },
    )
    save_bundle(plan.out, bundle)


def _journals(plan: TrainingPlan, first_step: int) -> Journals:
    """Journals that training writes its curves to."""
    journals: list[Journal] = []
    if plan.mlflow:
        journals.append(MLflow(plan.mlflow, settings=flat(plan.settings)))
    if plan.recipe.training.tensorboard:
        journals.append(TensorBoard(join(plan.out, "tensorboard"), first_step=first_step))
    return Journals(journals)
