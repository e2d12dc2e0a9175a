"""The choice of `--select`, kept beside the checkpoints: made once, read by every training process."""

from __future__ import annotations

from hf2vad.features.motion import DensityConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.models.settings import ModelConfig
from hf2vad.settings import from_dict, to_dict
from hf2vad.storage import delete, exists, list_files, put_json, read_json
from hf2vad.training.select import Selection, Selector


def put_selection(uri: str, settings: str, selector: Selector, *, candidates: str) -> Selection | None:
    """Choose and put the choice at `uri`; None where one made with the same `settings` is there already.

    `candidates`: where the checkpoints of what is tried are; they go when the choice is made.
    """
    if exists(uri) and read_json(uri).get("settings") == settings:
        return None
    selection = selector.run()
    put_json(uri, {"settings": settings, **to_dict(selection)})
    for entry in list(list_files(candidates)):
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
