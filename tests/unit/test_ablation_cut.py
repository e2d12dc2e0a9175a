"""An ablation's cubes are cut by all of the settings that their key is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hf2vad.ablation.units import Cut
from hf2vad.cluster.dispatch import RayConfig
from hf2vad.cubes.settings import FlowConfig, WorkingConfig
from hf2vad.demo.archive import generate
from hf2vad.jobs.ablation_runs import cut_cubes
from hf2vad.presets import preset
from hf2vad.training.data import StcTable
from tests.evidence import without_ray


def test_cubes_are_cut_at_the_working_size_that_their_key_says(tmp_path: Path) -> None:
    archive = generate(tmp_path / "archive", train_clips=1, test_clips=1, frames=12)
    extraction = replace(
        preset("compact").extraction, working=WorkingConfig(longest=160), flow=FlowConfig(preset="ultrafast", scale=1.0)
    )
    cut = Cut(str(archive.train), str(archive.test), extraction, ("", ""))
    with without_ray():
        tables = cut_cubes(cut, str(tmp_path / "out"), RayConfig(), image_fps=25.0)
    for uri in (tables.train, tables.test):
        assert StcTable(uri).extraction == extraction
