"""What `--select` chose, kept beside the checkpoints: chosen once, read by every training process."""

from __future__ import annotations

from hf2vad.features.motion import DensityConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.models.settings import ModelConfig
from hf2vad.report.training import print_selection
from hf2vad.settings import from_dict, to_dict
from hf2vad.storage import delete, exists, list_files, put_json, read_json
from hf2vad.training.select import Selection, Selector


def settle_selection(uri: str, settings: str, selector: Selector, *, candidates: str) -> None:
    """Choose, put the choice at `uri` and print it, unless one made with the same `settings` is there.

    `candidates`: where the checkpoints of what is tried are; they go when the choice is made.
    """
    if exists(uri) and read_json(uri).get("settings") == settings:
        return
    found = selector.run()
    put_json(uri, {"settings": settings, **to_dict(found)})
    for entry in list(list_files(candidates)):
        delete(entry.uri)
    print_selection(found.figures)


def read_selection(uri: str) -> Selection:
    """The choice at `uri`."""
    found = read_json(uri)
    return Selection(
        model=from_dict(ModelConfig, found["model"], where=uri),
        fusion=from_dict(FusionConfig, found["fusion"], where=uri),
        density=from_dict(DensityConfig, found["density"], where=uri),
        figures=found["figures"],
    )
