from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from hf2vad.errors import BundleError, ConfigError, ShapeError
from hf2vad.features.feature import CubeArrays, CubeSample
from hf2vad.features.motion import CHUNK, DensityConfig, Motion, motion_histogram
from hf2vad.features.perspective import LEAST, Perspective, fit_perspective
from hf2vad.fitting.sample import cube_sample
from hf2vad.schema import BOX as CORNERS
from hf2vad.schema import F16, F32
from hf2vad.training.data import StcTable
from tests.stc import make_cubes, put_clip

LEVEL = Perspective(intercept=20.0, slope=0.0, mean=20.0)
BOX = np.array([[0, 0, 10, 20]], np.float32)


def moving(*vectors: tuple[float, float]) -> F16:
    """One cube a vector, everything in it moving that way."""
    flow = np.zeros((len(vectors), 4, 32, 32, 2), np.float16)
    flow[:] = np.array(vectors, np.float16)[:, None, None, None]
    return flow


def arrays(flow: F16, boxes: F32) -> CubeArrays:
    return CubeArrays(boxes=boxes, flow=flow, appearance=None)


def histogram(flow: F16, directions: int) -> F32:
    return motion_histogram(arrays(flow, boxes(len(flow))).median_flow, directions)


def fitted(flow: F16, config: DensityConfig) -> Motion:
    sample = CubeSample(cubes=arrays(flow, boxes(len(flow))), perspective=LEVEL)
    return Motion(config).fit(sample)


def boxes(count: int, height: float = 20) -> F32:
    return np.tile(np.array([[0, 0, 10, height]], np.float32), (count, 1))


@pytest.mark.parametrize(("vector", "bin_"), [((2, 1), 4), ((-2, -1), 0), ((-1, 2), 6), ((1, -2), 2)])
def test_a_histogram_holds_the_speed_in_the_bin_of_its_direction(vector: tuple[float, float], bin_: int) -> None:
    found = histogram(moving(vector), 8)[0]
    assert found[bin_] == pytest.approx(math.sqrt(5), rel=1e-3)
    assert found.sum() == found[bin_]


def test_a_histogram_averages_over_the_crop_and_one_bad_field_does_not_count() -> None:
    flow = moving((0, 0))
    flow[:, :, :8] = (3, 0.5)
    flow[:, 2] = (-60000, 60000)
    found = histogram(flow, 8)[0]
    assert found.sum() == pytest.approx(0.25 * math.hypot(3, 0.5), rel=1e-3)


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), directions=st.integers(1, 16))
def test_a_histogram_sums_to_the_mean_speed(seed: int, directions: int) -> None:
    flow = np.random.default_rng(seed).normal(0, 2, (3, 4, 32, 32, 2)).astype(np.float16)
    speed = np.linalg.norm(np.median(flow.astype(np.float32), axis=1), axis=-1)
    found = histogram(flow, directions)
    assert found.shape == (3, directions)
    assert found.sum(1) == pytest.approx(speed.mean((1, 2)), rel=1e-4)


def test_what_moves_as_in_training_is_nearer_than_what_moves_faster_or_elsewhere() -> None:
    rng = np.random.default_rng(0)
    walkers = moving(*[(float(v), 0.1) for v in rng.normal(1.0, 0.1, 200)])
    for kind in ("knn", "gmm"):
        config = DensityConfig(kind=kind, components=2)  # type: ignore[arg-type]
        motion = fitted(walkers, config)
        walk, run, back = motion.measure(arrays(moving((1.0, 0.1), (3, 0.1), (-1.0, 0.1)), boxes(3)))
        assert 0 <= walk < 0.2 * min(run, back), kind


def test_the_distance_is_the_mean_to_the_nearest_exemplars() -> None:
    exemplars = np.array([[0, 0], [0, 1], [0, 9]], np.float32)
    motion = Motion(DensityConfig(kind="knn", directions=2, neighbours=2), {"exemplars": exemplars})
    flow = moving((3, 0.1))
    features = histogram(flow, 2)[0]
    by_hand = sorted(np.linalg.norm(exemplars - features, axis=1))[:2]
    assert motion.measure(arrays(flow, BOX))[0] == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_the_surprise_is_the_negative_log_density_of_the_mixture() -> None:
    rng = np.random.default_rng(1)
    flow = moving(*rng.normal(0, 2, (300, 2)))
    motion = fitted(flow, DensityConfig(kind="gmm", directions=3, components=2))
    features = motion.histograms(arrays(flow, boxes(300)), {})
    mixture = {name: value.astype(float) for name, value in motion.arrays.items()}
    total = np.zeros(len(features))
    for weight, mean, root in zip(mixture["log_weights"], mixture["means"], mixture["precision_roots"], strict=True):
        total += np.exp(weight) * multivariate_normal(mean, np.linalg.inv(root @ root.T)).pdf(features)
    surprise = -np.log(total)
    expected = np.maximum(surprise - surprise.min(), 0)
    assert motion.measure(arrays(flow, boxes(300))) == pytest.approx(expected, rel=1e-2, abs=2e-2)


def test_scores_do_not_depend_on_how_many_are_asked_for_at_once() -> None:
    flow, count = moving(*np.random.default_rng(2).normal(0, 2, (50, 2))), CHUNK + 30
    motion = fitted(flow, DensityConfig(kind="knn"))
    many = np.tile(flow, (count // 50 + 1, 1, 1, 1, 1))[:count]
    alone = motion.measure(arrays(flow, boxes(50)))
    assert motion.measure(arrays(many, boxes(count)))[:50] == pytest.approx(alone, rel=1e-6)
    assert motion.measure(arrays(flow[:0], boxes(0))).shape == (0,)


def test_in_heights_of_the_box_or_of_the_perspective_far_and_near_walkers_are_alike() -> None:
    ground = Perspective(intercept=0.0, slope=0.2, mean=20.0)
    near, far = np.array([[0, 160, 10, 200]], np.float32), np.array([[0, 30, 5, 50]], np.float32)
    for height in ("box", "perspective"):
        config = DensityConfig(kind="knn", height=height)  # type: ignore[arg-type]
        motion = Motion(config, {"exemplars": np.zeros((8, 8), np.float32)}, ground)
        walker, distant = (
            motion.histograms(arrays(moving(vector), box), {}) for vector, box in (((2, 0), near), ((0.5, 0), far))
        )
        assert walker.sum() == pytest.approx(1.0, rel=1e-3)
        assert distant.sum() == pytest.approx(walker.sum() if height == "perspective" else 0.5, rel=1e-2)


def test_motion_is_measured_only_after_a_fit() -> None:
    config = DensityConfig(kind="knn", neighbours=1)
    assert not Motion(config).fitted
    assert fitted(moving((1, 0)), config).fitted


def test_motion_without_a_density_cannot_count() -> None:
    with pytest.raises(ConfigError, match=r"fusion\.motion needs a density"):
        Motion.check(DensityConfig())


def test_a_density_that_lacks_what_it_needs_is_refused() -> None:
    exemplars = {"exemplars": np.zeros((8, 8), np.float32)}
    with pytest.raises(BundleError, match="density of kind gmm lacks log_weights"):
        Motion(DensityConfig(kind="gmm"), exemplars)
    with pytest.raises(BundleError, match="there is no perspective"):
        Motion(DensityConfig(kind="knn", height="perspective"), exemplars)


def test_a_perspective_is_found_among_outliers() -> None:
    rng = np.random.default_rng(3)
    rows = rng.uniform(60, 240, 400)
    tall = 2 + 0.25 * rows + rng.normal(0, 1, 400)
    tall[:40] *= 3
    found = fit_perspective(np.stack([rows * 0, rows - tall, rows * 0 + 9, rows], axis=1).astype(np.float32))
    assert found.slope == pytest.approx(0.25, rel=0.1)
    assert found.intercept == pytest.approx(2, abs=3)
    two = np.array([[0, 0, 9, 120], [0, 0, 9, 240]], np.float32)
    assert found.heights(two)[1] / found.heights(two)[0] == pytest.approx(2, rel=0.1)


def test_boxes_that_say_nothing_of_perspective_give_a_level_one() -> None:
    upside_down = np.array([[0, 0, 9, 240 - 2 * i] for i in range(1, 60)], np.float32)
    upside_down[:, 1] = upside_down[:, 3] - np.arange(1, 60)
    for found in (upside_down, boxes(50), boxes(3)):
        level = fit_perspective(found)
        assert (level.slope, level.intercept) == (0.0, level.mean)
        assert level.heights(found).tolist() == [1.0] * len(found)


def test_without_boxes_the_perspective_is_level() -> None:
    found = fit_perspective(boxes(0))
    assert (found.slope, found.heights(boxes(2)).tolist()) == (0.0, [1.0, 1.0])


def test_no_expected_height_is_zero_or_less() -> None:
    ground = Perspective(intercept=-20.0, slope=0.2, mean=20.0)
    assert ground.heights(np.array([[0, 0, 5, 10]], np.float32)).tolist() == [LEAST]


def test_a_sample_is_spread_over_the_table_and_the_same_each_time(tmp_path: Path) -> None:
    for number in range(3):
        put_clip(tmp_path, f"{number}", (0, 40), {10: 20, 11: 20}, seed=number)
    table = StcTable(str(tmp_path))
    sample, again = (cube_sample(table, most=60, pixels=True).cubes for _ in range(2))
    assert len(sample.flow) == len(sample.boxes) == len(sample.pixels) == pytest.approx(60, abs=6)
    assert np.array_equal(sample.flow, again.flow)
    flows = [make_cubes(40, number)[1] for number in range(3)]
    assert np.array_equal(sample.pixels, again.pixels)
    found = [sum(any(np.array_equal(one, cube) for cube in flow) for one in sample.flow) for flow in flows]
    assert min(found) >= 15
    assert len(cube_sample(table).cubes) == 120


def test_a_sample_without_flow_has_the_same_boxes_and_reads_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put_clip(tmp_path, f"{number}", (0, 40), {10: 20, 11: 20}, seed=number)
    put_clip(tmp_path, "empty", (0, 40), {})
    table = StcTable(str(tmp_path))
    whole = cube_sample(table, most=30).cubes
    read: list[str] = []
    parquet = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, columns: (read.extend(columns), parquet(self, group, columns=columns))[1],
    )
    boxes = cube_sample(table, most=30, flow=False).cubes
    assert np.array_equal(boxes.boxes, whole.boxes)
    assert boxes.flow.shape == (0, 4, 32, 32, 2)
    with pytest.raises(ShapeError, match="read without pixels"):
        _ = boxes.pixels
    assert set(read) == set(CORNERS)
