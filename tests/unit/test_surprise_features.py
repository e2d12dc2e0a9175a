"""The features that need no network, each by what it must notice and what it must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hf2vad.errors import BundleError, ConfigError
from hf2vad.features.exemplars import ExemplarConfig
from hf2vad.features.feature import CubeArrays, CubeSample, Feature
from hf2vad.features.flow import Flow, ResidualConfig
from hf2vad.features.motion import DensityConfig
from hf2vad.features.pace import LEAST, PaceLine, fit_pace, read_pace
from hf2vad.features.perspective import fit_perspective
from hf2vad.features.registry import feature_classes, networks_for
from hf2vad.features.settings import FEATURES
from hf2vad.features.shape import gradient_histograms
from hf2vad.schema import F32

PLAIN = [name for name in FEATURES if not networks_for([name])]
FITTED = [name for name in PLAIN if name not in ("speed", "classes", "embedding")]


def walkers(count: int, seed: int = 0) -> CubeArrays:
    """People of one height for their row, who walk to the right at half their height a second, and look alike."""
    rng = np.random.default_rng(seed)
    row = rng.uniform(60, 200, count)
    tall = row / 4
    x = rng.uniform(0, 280, count)
    boxes = np.stack([x, row - tall, x + tall / 2, row], axis=1).astype(np.float32)
    flow = np.zeros((count, 4, 32, 32, 2))
    flow[:, :, 4:28, 8:24, 0] = (tall / 15)[:, None, None, None]
    flow += rng.normal(0, 0.05, flow.shape)
    pictures = rng.normal(90, 2, (count, 5, 32, 32, 3))
    pictures[:, :, 4:28, 12:20] -= 50
    return CubeArrays(
        boxes=boxes,
        flow=flow.astype(np.float16),
        appearance=pictures.clip(0, 255).astype(np.uint8),
        fold=np.arange(count, dtype=np.int32) % 4,
    )


def changed(cubes: CubeArrays, what: str) -> CubeArrays:
    flow, pictures, boxes = cubes.flow, cubes.pixels, cubes.boxes.copy()
    if what == "faster":
        flow = (flow * 2.5).astype(np.float16)
    elif what == "one noisy flow":
        flow = flow.copy()
        flow[:, 2] = 30
    elif what == "against":
        flow = -flow
    elif what == "turned":
        pictures = np.rot90(pictures, axes=(2, 3))
    elif what == "larger":
        boxes[:, :2] = boxes[:, 2:] - 3 * (boxes[:, 2:] - boxes[:, :2])
    elif what == "elsewhere":
        boxes[:, [1, 3]] += 300
    return CubeArrays(boxes=boxes, flow=flow, appearance=pictures)


@pytest.fixture(scope="module")
def fitted() -> Mapping[str, Feature[Any]]:
    cubes = walkers(300)
    sample = CubeSample(cubes=cubes, perspective=fit_perspective(cubes.boxes))
    density = DensityConfig(kind="exemplars", height="speed", exemplars=200)
    settings = {name: density if name == "motion" else feature_classes()[name].Settings() for name in FITTED}
    return {name: feature_classes()[name](own).fit(sample) for name, own in settings.items()}


NOTICES = {
    "energy": {"faster"},
    "motion": {"faster", "against"},
    "motion_grid": {"faster", "against"},
    "shape": {"turned"},
    "look": {"turned"},
    "size": {"larger"},
    "place": {"larger", "elsewhere"},
}
CHANGES = ("faster", "one noisy flow", "against", "turned", "larger", "elsewhere")


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTED)
def test_a_feature_notices_what_it_is_for_and_nothing_else(fitted: Mapping[str, Feature[Any]], name: str) -> None:
    feature = fitted[name]
    # Where motion is measured by row, a box that is elsewhere moves too slowly or too fast for there.
    unsure = {"larger", "elsewhere"} if name in ("energy", "motion", "motion_grid") else set()
    usual = np.quantile(feature.measure(walkers(100, seed=1)), 0.99)
    values = {what: np.median(feature.measure(changed(walkers(100, seed=2), what))) for what in CHANGES}
    noticed = min(values[what] for what in NOTICES[name])
    assert noticed > 1.5 * usual
    for what in set(CHANGES) - NOTICES[name] - unsure:
        assert values[what] - usual < 0.5 * (noticed - usual), what


@pytest.mark.parametrize("name", FITTED)
def test_values_are_finite_numbers_one_a_cube_however_many_cubes_there_are(
    fitted: Mapping[str, Feature[Any]], name: str
) -> None:
    cubes = walkers(150, seed=3)
    flat = CubeArrays(boxes=cubes.boxes * 0, flow=cubes.flow * 0, appearance=cubes.pixels * 0)
    for some in (cubes, flat, next(cubes.chunks(1)), CubeArrays(**_cut(cubes, 0))):
        values = fitted[name].measure(some)
        assert values.shape == (len(some),)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    one_by_one = np.concatenate([fitted[name].measure(part) for part in cubes.chunks(37)])
    whole = fitted[name].measure(
        CubeArrays(boxes=cubes.boxes, flow=cubes.flow, appearance=cubes.appearance, fold=cubes.fold)
    )
    assert one_by_one == pytest.approx(whole, rel=1e-3, abs=1e-3)


def _cut(cubes: CubeArrays, count: int) -> dict[str, Any]:
    return {"boxes": cubes.boxes[:count], "flow": cubes.flow[:count], "appearance": cubes.pixels[:count]}


def test_speed_is_that_of_the_quarter_that_moves_fastest_whatever_else_the_box_holds() -> None:
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 1, (40, 4, 32, 32, 2)).astype(np.float16)
    flow[:, :, 8:24, 16:] *= rng.uniform(2, 5, (40, 1, 1, 1, 1)).astype(np.float16)
    cubes = CubeArrays(boxes=np.zeros((40, 4), np.float32), flow=flow, appearance=None)
    for found, one in zip(cubes.fastest_speed, flow.astype(np.float64), strict=True):
        cells = [
            min(np.sqrt(np.square(one[f, y : y + 8, x : x + 8]).sum(axis=2).mean()) for f in range(4))
            for y in range(0, 32, 8)
            for x in range(0, 32, 8)
        ]
        assert found == pytest.approx(np.mean(sorted(cells)[-4:]), rel=1e-5)
    assert np.concatenate([part.fastest_speed for part in cubes.chunks(7)]).tolist() == cubes.fastest_speed.tolist()

    tight, loose = (np.zeros((1, 4, 32, 32, 2), np.float16) for _ in range(2))
    tight[...] = 3
    loose[:, :, 8:24, 8:24] = 3
    speeds = [
        CubeArrays(boxes=cubes.boxes[:1], flow=each, appearance=None).fastest_speed.item() for each in (tight, loose)
    ]
    assert speeds == pytest.approx([3 * 2**0.5] * 2)


def test_energy_of_an_older_bundle_is_that_of_the_whole_crop(fitted: Mapping[str, Feature[Any]]) -> None:
    cubes, energy = walkers(50, seed=4), fitted["energy"]
    pace = {name: array for name, array in energy.arrays.items() if name != "fastest"}
    older = replace(energy, arrays=pace)
    assert older.fitted
    units = read_pace(pace).speeds(cubes.boxes)
    assert older.measure(cubes) == pytest.approx(cubes.least_speed / units, rel=1e-6)
    assert energy.measure(cubes) == pytest.approx(cubes.fastest_speed / units, rel=1e-6)
    assert (energy.measure(cubes) > 1.2 * older.measure(cubes)).all()


def test_expected_speeds_follow_the_row_of_a_boxs_centre_and_end_with_the_training_boxes() -> None:
    cubes = walkers(400)
    pace = fit_pace(cubes.boxes, cubes.least_speed)
    low, high = np.quantile(cubes.least_speed / pace.speeds(cubes.boxes), [0.05, 0.95])
    assert high < 1.1 * low
    assert pace.speeds(cubes.boxes).mean() == pytest.approx(1.0, rel=0.01)
    sample = CubeSample(cubes=cubes, perspective=fit_perspective(cubes.boxes))
    assert sample.pace == fit_pace(cubes.boxes, cubes.fastest_speed), "a speed and its unit are measured alike"
    far = np.array([[0, 990, 9, 1010], [0, 2000, 9, 2010]], np.float32)
    assert pace.speeds(far)[0] == pace.speeds(far)[1]
    assert read_pace(pace.arrays()).speeds(far) == pytest.approx(pace.speeds(far), rel=1e-5)


def test_the_flow_residual_of_what_is_near_counts_as_much_as_that_of_what_is_far_in_expected_speed() -> None:
    cubes = walkers(400)
    squares = np.square(cubes.least_speed)  # as far off as it is fast: a residual grows as the speed does
    errors = replace(cubes, errors={"flow": squares})
    unfitted = Flow(ResidualConfig(unit="expected_speed"))
    assert not unfitted.fitted
    by_speed = unfitted.fit(CubeSample(cubes=cubes, perspective=fit_perspective(cubes.boxes)))
    assert by_speed.fitted
    low, high = np.quantile(by_speed.measure(errors), [0.05, 0.95])
    assert high < 1.2 * low
    in_pixels = Flow(ResidualConfig())
    assert in_pixels.fitted
    assert in_pixels.measure(errors).tolist() == squares.tolist()
    assert np.quantile(squares, 0.95) > 3 * np.quantile(squares, 0.05)


def test_a_flow_residual_is_not_blown_up_where_nothing_moves() -> None:
    cubes = walkers(400)
    above = cubes.boxes[:, 3] < 120
    cubes = replace(cubes, flow=np.where(above[:, None, None, None, None], np.float16(0), cubes.flow))
    by_speed = Flow(ResidualConfig(unit="expected_speed"))
    by_speed = by_speed.fit(CubeSample(cubes=cubes, perspective=fit_perspective(cubes.boxes)))
    errors = by_speed.measure(replace(cubes, errors={"flow": np.ones(400, np.float32)}))
    assert 100 < above.sum() < 300
    assert errors[above].max() == 4.0


def test_a_lane_of_fast_things_between_slow_ones_has_an_expected_speed_of_its_own() -> None:
    rows = np.repeat([50.0, 120.0, 200.0], 400)
    boxes = np.stack([np.zeros(1200), rows - 10, np.full(1200, 20), rows + 10], axis=1).astype(np.float32)
    usual = np.repeat([1.0, 6.0, 2.0], 400) * np.tile(np.linspace(0.9, 1.0, 400), 3)
    expected = fit_pace(boxes, usual.astype(np.float32)).speeds(boxes[::400])
    assert expected[1] == pytest.approx(6 * expected[0], rel=0.05)
    assert expected[2] == pytest.approx(2 * expected[0], rel=0.05)


@pytest.mark.parametrize("parked", [0.0, 0.8, 0.95, 0.99])
def test_a_parked_car_does_not_make_what_passes_it_look_fast(parked: float) -> None:
    """It has a box in every frame, and in most of those on its rows nothing moves."""
    rows = np.repeat([50.0, 200.0], 600)
    boxes = np.stack([np.zeros(1200), rows - 10, np.full(1200, 20), rows + 10], axis=1).astype(np.float32)
    speeds = np.repeat([2.0, 4.0], 600) * np.tile(np.linspace(0.9, 1.0, 600), 2)
    speeds[np.random.default_rng(0).permutation(600)[: round(600 * parked)] + 600] = 0
    expected = fit_pace(boxes, speeds.astype(np.float32)).speeds(boxes[::600])
    assert expected[1] == pytest.approx(2 * expected[0], rel=0.05)


@pytest.mark.parametrize("count", [0, 5, 99])
def test_footage_of_few_cubes_has_one_expected_speed(count: int) -> None:
    boxes = walkers(400).boxes[:count]
    pace = fit_pace(boxes, np.linspace(3, 1, count).astype(np.float32))
    assert pace.speeds(walkers(9).boxes).tolist() == [1.0] * 9


def test_footage_on_one_row_or_without_motion_has_one_expected_speed() -> None:
    boxes = np.repeat(np.array([[0, 0, 5, 10]], np.float32), 400, axis=0)
    assert fit_pace(boxes, np.linspace(1, 3, 400).astype(np.float32)).speeds(boxes) == pytest.approx(1.0)
    still = walkers(400).boxes
    assert fit_pace(still, np.zeros(400, np.float32)).speeds(still) == pytest.approx(1.0)


def test_the_line_of_an_earlier_bundle_is_read_and_no_expected_speed_is_zero_or_less() -> None:
    pace = read_pace({"pace": np.array([-1.0, 0.01, 0.0, 200.0], np.float32)})
    assert isinstance(pace, PaceLine)
    boxes = np.array([[0, 0, 5, 10], [0, 140, 5, 160], [0, 300, 5, 400]], np.float32)
    assert pace.speeds(boxes) == pytest.approx([LEAST, 0.5, 1.0])


@pytest.mark.parametrize(
    "rows", [np.empty((2, 0)), np.ones((3, 2)), np.array([[1, 1], [1, 2]]), np.array([[1, 2], [1, np.nan]])]
)
def test_expected_speeds_that_cannot_be_used_are_refused(rows: F32) -> None:
    with pytest.raises(BundleError, match="expected speeds: "):
        read_pace({"pace_rows": rows.astype(np.float32)})


def test_a_gradient_histogram_has_the_direction_of_an_edge_and_shrinks_with_contrast() -> None:
    def edge(level: float) -> F32:
        picture = np.full((1, 32, 32), 100, np.float32)
        picture[:, :, 16:] += level
        return picture

    strong, faint, none = (gradient_histograms(edge(level)) for level in (100, 1, 0))
    upright = strong.reshape(4, 4, 9).sum((0, 1))
    assert upright.argmax() == 0
    assert upright[1:].sum() == 0
    turned = gradient_histograms(np.swapaxes(edge(100), 1, 2)).reshape(4, 4, 9).sum((0, 1))
    assert turned.argmax() == 4
    assert np.linalg.norm(none) == 0 < np.linalg.norm(faint) < 0.1 < np.linalg.norm(strong) < 1


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="exemplars must be at least 2, got 1"):
        ExemplarConfig(exemplars=1)
