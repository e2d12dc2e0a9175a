"""A scored archive for tests of evidence, made in this process without Ray."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import torch

from hf2vad.bundle.bundle import save_bundle
from hf2vad.bundle.kept import NormalExamples
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import ExtractionConfig, WorkingConfig
from hf2vad.demo.archive import generate
from hf2vad.evidence.choose import event_key
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.runs.evidence import EvidenceJob
from hf2vad.schema import U8
from hf2vad.storage import read_table
from tests.bundles import make_bundle, normal
from tests.stc import SMALL_MODEL, make_cubes

FRAMES = 40
VIDEOS = ("01_runner.mp4", "02_cyclist.mp4")
MAPS = ("appearance", "predicted", "appearance_error", "flow", "reconstructed", "flow_error")
HERE = RayConfig(address="none")


@dataclass(frozen=True)
class Scored:
    """An archive of two clips, the bundle of a network that nobody has trained, and the scores of the clips."""

    archive: Path
    bundle: Path
    scores: Path

    def job(self, site: Path, **settings: Any) -> EvidenceJob:
        places = {name: str(getattr(self, name)) for name in ("scores", "archive", "bundle")}
        return EvidenceJob(**places, site=str(site), evidence=EvidenceConfig(**settings), ray=HERE)


def scored_archive(folder: Path) -> Scored:
    """Every clip has one event: each frame with a score is part of it."""
    made = generate(folder / "archive", train_clips=0, test_clips=2, frames=FRAMES)
    torch.manual_seed(0)
    bundle = make_bundle(
        HF2VAD(SMALL_MODEL).state_dict(),
        extraction=ExtractionConfig(working=WorkingConfig(longest=200)),
        fusion=FusionConfig(speed=0.5),
        calibration=normal(flow=(900.0, 300.0), frame=(400.0, 100.0), speed=(0.0, 1.0), threshold=-99.0, low=-99.0),
        arrays={"examples": NormalExamples.of(*make_cubes(12, seed=3))},
    )
    save_bundle(str(folder / "bundle"), bundle)
    job = ScoreJob.base({"bundle": str(folder / "bundle")})
    job = replace(job, archive=str(made.test), bundle=str(folder / "bundle"), out=str(folder / "scores"), device="cpu")
    score_job(replace(job, batch=16, engine="eager", ray=HERE))
    return Scored(made.test, folder / "bundle", folder / "scores")


def folder_of(site: Path, video: str = VIDEOS[0]) -> Path:
    return site / "events" / event_key(video, 4)


def row_of(site: Path, video: str = VIDEOS[0]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(site, video) / "event.json").read_text())
    return found


def picture(path: Path) -> U8:
    return np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}


def table(scored: Scored, name: str, video: str = VIDEOS[0]) -> pa.Table:
    (prefix,) = scored.scores.glob("bundle=*")
    return read_table(str(prefix / name / f"{video}.parquet"))


def frame_of(path: Path, number: int) -> U8:
    return clip_frames(path)[number]


def clip_frames(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]
