"""Evidence of one run after another: what is kept, what a stopped run leaves, what a lost video costs."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from hf2vad.bundle.bundle import load_bundle
from hf2vad.errors import BundleError, MismatchError
from hf2vad.evidence.choose import choose_events
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.runs.evidence import gather_evidence
from hf2vad.storage import local
from tests.evidence import (
    MAPS,
    VIDEOS,
    Scored,
    files,
    folder_of,
    row_of,
)


def choose(scored: Scored, **settings: Any) -> Any:
    (prefix,) = scored.scores.glob("bundle=*")
    return choose_events(str(prefix), EvidenceConfig(**settings))


def test_what_is_there_is_kept_and_other_settings_replace_it(
    scored: Scored, evidence_site: Path, tmp_path: Path
) -> None:
    shutil.copytree(evidence_site, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    assert gather_evidence(scored.job(tmp_path, clips=True)) == {
        "events": 2,
        "made": 0,
        "kept": 2,
        "noted": 0,
        "removed": 0,
    }
    assert files(tmp_path) == before
    assert gather_evidence(scored.job(tmp_path, pixelate="people", nearest=0))["made"] == 2
    left = {Path(name).name for name in files(tmp_path)}
    assert left == {"event.json", "thumb.jpg", "preview.webp", *(f"{name}.png" for name in MAPS)}, (
        "no clip shows people any more"
    )
    assert gather_evidence(scored.job(tmp_path, events=1))["removed"] == 1
    assert {Path(name).parent.name for name in files(tmp_path)} == {choose(scored, events=1)[0].key}


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.slow
def test_a_run_stopped_at_any_step_is_finished_by_the_next(
    scored: Scored, evidence_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at no step does a row name a file that is not there, or one that shows what must be hidden."""
    steps, stop = 0, 0

    def burning(step: Any) -> Any:
        def run(*args: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == stop:
                raise Killed
            step(*args)

        return run

    shutil.copytree(evidence_site, tmp_path / "there")
    job = scored.job(tmp_path / "there", pixelate="people", events=1)
    for name in ("publish", "delete"):
        monkeypatch.setattr(local, name, burning(getattr(local, name)))
    gather_evidence(replace(job, site=str(tmp_path / "whole")))
    whole = files(tmp_path / "whole")
    for stop in range(1, 40, 3):
        steps = 0
        shutil.copytree(evidence_site, tmp_path / str(stop))
        try:
            gather_evidence(replace(job, site=str(tmp_path / str(stop))))
        except Killed:
            for path in (tmp_path / str(stop)).rglob("event.json"):
                row = json.loads(path.read_text())
                nearest = row["files"].pop("nearest", [])
                assert all((path.parent / name).exists() for name in (*nearest, *row["files"].values()))
        else:
            assert stop > 20
        stop_at, stop = stop, 0
        gather_evidence(replace(job, site=str(tmp_path / str(stop_at))))
        assert files(tmp_path / str(stop_at)) == whole


def test_a_video_that_is_gone_changed_or_broken_costs_a_note_and_stops_nothing(scored: Scored, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(scored.archive, archive)
    job = replace(scored.job(tmp_path / "site"), archive=str(archive))
    (archive / VIDEOS[0]).write_bytes(b"")
    (archive / VIDEOS[1]).unlink()
    assert gather_evidence(job) == {"events": 2, "made": 0, "kept": 0, "noted": 2, "removed": 0}
    assert "changed since it was scored" in row_of(tmp_path / "site")["note"]
    assert f"not in {archive}" in row_of(tmp_path / "site", VIDEOS[1])["note"]
    assert row_of(tmp_path / "site")["files"] == {}
    shutil.copy2(scored.archive / VIDEOS[1], archive / VIDEOS[1])
    assert gather_evidence(job) == {"events": 2, "made": 1, "kept": 0, "noted": 1, "removed": 0}
    (archive / VIDEOS[1]).unlink()
    more = replace(job, evidence=EvidenceConfig(clips=True))
    assert gather_evidence(more)["kept"] == 1, "what still holds is not lost with the video"
    assert (folder_of(tmp_path / "site", VIDEOS[1]) / "thumb.jpg").exists()


def test_another_bundle_than_the_one_that_scored_is_refused(scored: Scored, tmp_path: Path) -> None:
    (prefix,) = scored.scores.glob("bundle=*")
    shutil.copytree(prefix, tmp_path / "bundle=0123456789abcdef")
    with pytest.raises(MismatchError, match="give that bundle"):
        gather_evidence(replace(scored.job(tmp_path), scores=str(tmp_path / "bundle=0123456789abcdef")))


def test_a_bundle_keeps_its_examples_and_one_without_any_loads_as_before(scored: Scored, tmp_path: Path) -> None:
    bundle = load_bundle(str(scored.bundle))
    assert len(bundle.examples) == 12
    assert not [name for name in bundle.weights if "/" in name]
    bundle.build(torch.device("cpu"))
    shutil.copytree(scored.bundle, tmp_path, dirs_exist_ok=True)
    tensors = load((tmp_path / "weights.safetensors").read_bytes())
    tensors["examples/flow"] = tensors["examples/flow"][:5].contiguous()
    data = save(tensors)
    (tmp_path / "weights.safetensors").write_bytes(data)
    settings = json.loads((tmp_path / "bundle.json").read_text())
    settings["weights_sha256"] = hashlib.sha256(data).hexdigest()
    decisive = {key: value for key, value in settings.items() if key not in ("id", "provenance")}
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    settings["id"] = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    (tmp_path / "bundle.json").write_text(json.dumps(settings))
    with pytest.raises(BundleError, match="examples have shapes"):
        load_bundle(str(tmp_path))
