"""An ONNX network has as many threads as a worker has CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from hf2vad.bundle.bundle import save_bundle
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.detect import resolve_detector
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.runs.evidence import EvidenceJob, gather_evidence
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.walk.worker import warm_extractor
from tests.bundles import make_bundle, normal
from tests.clips import Clip, write_clip
from tests.onnx_network import PixelNetwork
from tests.stc import SMALL_MODEL

CPUS = RayConfig(address="none", cpus=3)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Threads of each session that is made, as the session itself says."""
    sessions: list[int] = []
    of_torch = torch.get_num_threads()
    genuine = onnxruntime.InferenceSession

    def recorded(*args: Any, **kwargs: Any) -> Any:
        session = genuine(*args, **kwargs)
        sessions.append(session.get_session_options().intra_op_num_threads)
        return session

    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded)
    warm_extractor.forget()
    yield sessions
    warm_extractor.forget()
    torch.set_num_threads(of_torch)


@pytest.fixture
def extraction(tmp_path: Path) -> ExtractionConfig:
    """One box, the same in every frame."""
    network = PixelNetwork()
    network.cell(1, 1, 1, log_size=(0.5, 0.5))
    path = tmp_path / "pixels.onnx"
    path.write_bytes(network.to_bytes())
    detector = resolve_detector(DetectorConfig(kinds=("onnx",), model=str(path)))
    return ExtractionConfig(detector=detector, flow=FlowConfig(preset="ultrafast", scale=1.0))


@pytest.mark.parametrize("count", [1, 2])
def test_an_extractors_network_has_the_threads_that_it_is_given(
    extraction: ExtractionConfig, threads: list[int], count: int
) -> None:
    Extractor(extraction, threads=count)
    assert threads == [count]


@pytest.mark.slow
def test_every_job_gives_its_networks_the_cpus_of_a_worker(
    tmp_path: Path, extraction: ExtractionConfig, threads: list[int]
) -> None:
    (tmp_path / "archive").mkdir()
    write_clip(tmp_path / "archive/clip.mp4", Clip(frames=12))
    archive, bundle, scores = (str(tmp_path / name) for name in ("archive", "bundle", "scores"))
    torch.manual_seed(0)
    calibration = normal(flow=(9, 3), frame=(4, 1), threshold=-99, low=-99)
    weights = HF2VAD(SMALL_MODEL).state_dict()
    save_bundle(
        bundle, make_bundle(weights, extraction=extraction, smoothing=SmoothingRule(1), calibration=calibration)
    )
    extract = ExtractJob(archive=archive, out=str(tmp_path / "stc"), ray=CPUS, **extraction.parts)
    score = replace(ScoreJob.base({"bundle": bundle}), archive=archive, bundle=bundle, out=scores, ray=CPUS)
    assert extract_job(extract) == 0
    warm_extractor.forget()
    assert score_job(replace(score, engine="eager", device="cpu")) == 0
    warm_extractor.forget()
    counts = gather_evidence(
        EvidenceJob(scores=scores, archive=archive, site=str(tmp_path / "site"), bundle=bundle, ray=CPUS)
    )
    assert (counts["made"], counts["noted"]) == (1, 0)
    assert threads == [3, 3, 3]
