from __future__ import annotations

import itertools
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from hf2vad.engines.eager import EagerEngine
from hf2vad.errors import TrainingError
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import Calibrations, calibrate
from hf2vad.fitting.measure import measure_files
from hf2vad.fitting.running_moments import RunningMoments
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.schema import F64
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcTable
from tests.bundles import feature_set
from tests.stc import SMALL_MODEL, make_cubes, put_clip

FUSION = FusionConfig(flow=0.5, frame=2.0)


@pytest.fixture(scope="module")
def engine() -> EagerEngine:
    torch.manual_seed(0)
    return EagerEngine(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=16)


@settings(max_examples=100)
@given(
    values=st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_moments_of_any_chunks_are_those_of_all_values(values: list[float], cuts: list[int]) -> None:
    whole = np.array(values, np.float32)
    moments = RunningMoments()
    for chunk in np.split(whole, sorted(cuts)):
        moments.add(chunk)
    assert moments.count == len(values)
    assert moments.mean == pytest.approx(whole.mean(dtype=np.float64), rel=1e-9, abs=1e-12)
    assert moments.std == pytest.approx(whole.std(dtype=np.float64), rel=1e-6, abs=1e-6)


def test_moments_keep_small_deviations_beside_a_large_mean() -> None:
    values = np.float32(1e6) + np.arange(1000, dtype=np.float32) % 2
    moments = RunningMoments()
    for chunk in np.split(values, 50):
        moments.add(chunk)
    assert moments.std == pytest.approx(0.5, rel=1e-9)


@settings(max_examples=50)
@given(value=st.floats(0, 1e6, width=32), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_equal_values_have_no_deviation_at_all(value: float, sizes: list[int]) -> None:
    moments = RunningMoments()
    for size in sizes:
        moments.add(np.full(size, value, np.float32))
    assert moments.squares == 0


def calibrated(folder: Path, engine: EagerEngine, smoothing: int, **options: Any) -> Calibrations:
    measured = measure_files(StcTable(str(folder)), feature_set(engine))
    return calibrate(measured, fusion=FUSION, smoothing=SmoothingRule(smoothing), where=str(folder), **options)


def by_hand(engine: EagerEngine, clips: list[tuple[int, int, dict[int, int]]], window: int) -> tuple[F64, F64, F64]:
    """S_r and S_p of all cubes of one video's files, and the smoothed scores of its frames, from the definitions."""
    found = []
    for number, (_, _, cubes) in enumerate(clips):
        scores = engine.errors(*make_cubes(sum(cubes.values()), number))
        found.append((scores["flow"].astype(float), scores["frame"].astype(float)))
    s_flow, s_frame = (np.concatenate(part) for part in zip(*found, strict=True))
    frames: list[float] = []
    for (start, stop, cubes), (flow, frame) in zip(clips, found, strict=True):
        fused = 0.5 * (flow - s_flow.mean()) / s_flow.std() + 2.0 * (frame - s_frame.mean()) / s_frame.std()
        nothing = -0.5 * s_flow.mean() / s_flow.std() - 2.0 * s_frame.mean() / s_frame.std()
        owner = np.repeat(sorted(cubes), [cubes[t] for t in sorted(cubes)])
        raw = [fused[owner == t].max() if t in cubes else nothing for t in range(max(4, start), stop)]
        frames += raw
    return s_flow, s_frame, median_filter(np.array(frames), window, mode="nearest")


@pytest.mark.parametrize("window", [1, 5])
def test_a_calibration_is_what_its_definitions_give(tmp_path: Path, engine: EagerEngine, window: int) -> None:
    clips = [(0, 30, dict.fromkeys(range(4, 28), 2)), (30, 45, {31: 5, 32: 1, 44: 3}), (45, 60, {50: 1})]
    for number, (start, stop, cubes) in enumerate(clips):
        put_clip(tmp_path, "a", (start, stop), cubes, seed=number)
    found = calibrated(tmp_path, engine, window).overall
    s_flow, s_frame, frames = by_hand(engine, clips, window)
    assert astuple(found.moments["flow"]) == pytest.approx((s_flow.mean(), s_flow.std()))
    assert astuple(found.moments["frame"]) == pytest.approx((s_frame.mean(), s_frame.std()))
    assert (found.threshold, found.low) == pytest.approx(tuple(np.percentile(frames, [99.9, 99])))
    assert found.threshold > found.low
    assert (found.cubes, found.frames) == (58, 26 + 15 + 15)


def test_videos_of_several_rates_are_smoothed_over_the_same_time(tmp_path: Path, engine: EagerEngine) -> None:
    cubes = dict.fromkeys(range(4, 28), 2)
    put_clip(tmp_path, "a", (0, 30), cubes, fps=10.0)
    put_clip(tmp_path, "b", (0, 30), cubes, seed=1, fps=25.0)
    put_clip(tmp_path, "c", (0, 30), cubes, seed=2, fps=0.0)
    measured = measure_files(StcTable(str(tmp_path)), feature_set(engine))
    calibration = calibrate(measured, fusion=FUSION, smoothing=SmoothingRule(5, 10.0), where="").overall
    scorer = Scorer.eq9(FUSION, calibration)
    raw = [scorer.frame_scores(file.values, file.frame - 4, 26) for file in measured]
    frames = [median_filter(each, window, mode="nearest") for each, window in zip(raw, (5, 13, 5), strict=True)]
    assert (calibration.threshold, calibration.low) == pytest.approx(
        tuple(np.percentile(np.concatenate(frames), [99.9, 99]))
    )


def test_thresholds_do_not_depend_on_where_shards_are_cut(tmp_path: Path, engine: EagerEngine) -> None:
    appearance, flow = make_cubes(56, 3)
    counts = dict.fromkeys(range(4, 60), 1)
    for name, cuts in (("whole", [0, 60]), ("cut", [0, 2, 4, 13, 37, 60])):
        for start, stop in itertools.pairwise(cuts):
            inside = {t: n for t, n in counts.items() if start <= t < stop}
            rows = slice(max(0, start - 4), max(0, stop - 4))
            put_clip(tmp_path / name, "a", (start, stop), inside, content=(appearance[rows], flow[rows]))
    whole, cut = (calibrated(tmp_path / name, engine, 9).overall for name in ("whole", "cut"))
    assert (cut.threshold, cut.low) == pytest.approx((whole.threshold, whole.low), rel=1e-5)
    assert cut.frames == whole.frames == 56


def test_frames_without_context_are_no_training_frames(tmp_path: Path, engine: EagerEngine) -> None:
    put_clip(tmp_path, "a", (0, 6), {4: 1, 5: 2})
    put_clip(tmp_path, "b", (0, 4), {})
    found = calibrated(tmp_path, engine, 1).overall
    _, _, frames = by_hand(engine, [(0, 6, {4: 1, 5: 2})], 1)
    assert found.frames == 2
    assert found.low == pytest.approx(np.percentile(frames, 99))


def test_frames_of_a_file_without_a_cube_are_frames_without_error(tmp_path: Path, engine: EagerEngine) -> None:
    clips: list[tuple[int, int, dict[int, int]]] = [(0, 20, {10: 3}), (20, 30, {})]
    for start, stop, cubes in clips:
        put_clip(tmp_path, "a", (start, stop), cubes)
    found = calibrated(tmp_path, engine, 1).overall
    _, _, frames = by_hand(engine, clips[:1], 1)
    padded = np.concatenate([frames, np.full(10, frames.min())])
    assert found.frames == 26
    assert found.low == pytest.approx(np.percentile(padded, 99))


def test_cubes_that_all_have_the_same_error_cannot_calibrate(tmp_path: Path, engine: EagerEngine) -> None:
    appearance, flow = make_cubes(1, 0)
    put_clip(tmp_path, "a", (0, 50), {9: 24}, content=(appearance.repeat(24, 0), flow.repeat(24, 0)))
    with pytest.raises(TrainingError, match=rf"{tmp_path}: the flow errors of all training cubes are equal"):
        calibrated(tmp_path, engine, 1)


def test_errors_that_are_no_numbers_cannot_calibrate(tmp_path: Path, engine: EagerEngine) -> None:
    appearance, flow = make_cubes(20, 0)
    flow[17, 2] = np.nan
    put_clip(tmp_path, "a", (0, 50), {9: 20}, content=(appearance, flow))
    with pytest.raises(TrainingError, match=rf"{tmp_path}: the flow errors of the training cubes are not finite"):
        calibrated(tmp_path, engine, 1)
