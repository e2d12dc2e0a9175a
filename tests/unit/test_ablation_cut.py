"""An ablation's cubes are cut by all of the settings that their key is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from hf2vad.ablation.nodes import Cut
from hf2vad.ablation.runs import cut_cubes
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import FlowConfig, WorkingConfig, extraction_difference
from hf2vad.demo.archive import generate
from hf2vad.jobs.ablate import AblationJob, _extract
from hf2vad.presets import preset
from hf2vad.training.data import StcTable


def test_cubes_are_cut_at_the_working_size_that_their_key_says(tmp_path: Path) -> None:
    archive = generate(tmp_path / "archive", train_clips=1, test_clips=1, frames=12)
    extraction = replace(
        preset("compact").extraction, working=WorkingConfig(longest=160), flow=FlowConfig(preset="ultrafast", scale=1.0)
    )
    cut = Cut(str(archive.train), str(archive.test), extraction, ("", ""))
    places = {"train": cut.train, "test": cut.test, "labels": str(archive.labels), "out": str(tmp_path / "out")}
    job = AblationJob(**places, ray=RayConfig(address="none"))
    tables = cut_cubes(cut, job.out, partial(_extract, job))
    for uri in (tables.train, tables.test):
        assert extraction_difference(StcTable(uri).extraction, extraction) == ""
