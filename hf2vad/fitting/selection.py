"""The choice of `--select`, kept beside the checkpoints: made once, read by every training process."""

from __future__ import annotations

import torch

from hf2vad.features.motion import DensityConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.recipe import Selection, TrainingPlan
from hf2vad.fitting.select import Selector
from hf2vad.models.settings import ModelConfig
from hf2vad.settings import from_dict, to_dict
from hf2vad.storage import delete, exists, list_files, put_json, read_json
from hf2vad.training.data import StcTable
from hf2vad.training.settings import SelectionConfig


def put_selection(
    plan: TrainingPlan, table: StcTable, config: SelectionConfig, device: torch.device
) -> Selection | None:
    """Choose and put the choice; None where one of the same recipe and table is there already.

    The checkpoints of what is tried go when the choice is made.
    """
    identity = plan.recipe.identity(table)
    if exists(plan.choice) and read_json(plan.choice).get("settings") == identity:
        return None
    selection = Selector(table, plan.recipe, config, device, plan.candidate).run()
    put_json(plan.choice, {"settings": identity, **to_dict(selection)})
    for entry in list(list_files(plan.candidates)):
        delete(entry.uri)
    return selection


def read_selection(uri: str) -> Selection:
    """The choice at `uri`."""
    kept = read_json(uri)
    return Selection(
        model=from_dict(ModelConfig, kept["model"], where=uri),
        fusion=from_dict(FusionConfig, kept["fusion"], where=uri),
        density=from_dict(DensityConfig, kept["density"], where=uri),
        figures=kept["figures"],
    )
