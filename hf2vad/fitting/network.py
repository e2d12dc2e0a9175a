"""Trains the network of a bundle on an STC table; called alone or by all processes of a group."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from hf2vad.errors import ConfigError
from hf2vad.features.registry import networks_for
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.hold_out import hold_out
from hf2vad.fitting.learn import Trained
from hf2vad.fitting.recipe import TrainingPlan
from hf2vad.fitting.select import read_selection
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import NETWORKS
from hf2vad.settings import flat
from hf2vad.storage import join
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.initial import put_initial
from hf2vad.training.journal import Journal, Journals, MLflow, TensorBoard
from hf2vad.training.loop import Trainer
from hf2vad.training.stages import STAGES


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
        return Trained.without_network(plan, identity, rows)
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


def _journals(plan: TrainingPlan, first_step: int) -> Journals:
    """Journals that training writes its curves to."""
    journals: list[Journal] = []
    if plan.mlflow:
        journals.append(MLflow(plan.mlflow, settings=flat(plan.settings)))
    if plan.recipe.training.tensorboard:
        journals.append(TensorBoard(join(plan.out, "tensorboard"), first_step=first_step))
    return Journals(journals)
