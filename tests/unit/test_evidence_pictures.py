"""Pictures of a cube, pixelation, and the nearest normal examples."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hf2vad.bundle.kept import NO_EXAMPLES, NormalExamples
from hf2vad.errors import BundleError
from hf2vad.evidence.pictures import error_colours, flow_colours, jpeg, magnified, png
from hf2vad.evidence.pixelate import LEAST, pixelated, pixelated_crop, regions
from hf2vad.fitting.probe import normal_examples
from hf2vad.schema import F32, U8
from hf2vad.training.data import StcTable
from tests.stc import make_cubes, put_clip

RNG = np.random.default_rng(0)


def noise(height: int, width: int) -> U8:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxes(*rows: tuple[float, float, float, float]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 4)


def colours_in(image: U8) -> int:
    return len(np.unique(image.reshape(-1, 3), axis=0))


@settings(max_examples=60)
@given(
    st.integers(5, 90),
    st.integers(5, 90),
    hnp.arrays(np.float32, (3, 4), elements=st.floats(-20, 110, width=32)),
)
def test_what_lies_in_a_region_is_coarse_and_what_lies_apart_is_untouched(
    height: int, width: int, corners: F32
) -> None:
    hidden = np.concatenate([np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1)
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = pixelated(image, hidden)
    changed = (found != image).any(axis=2)
    near = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in hidden:
        rows = slice(max(0, int(np.floor(y1))), max(0, int(np.ceil(y2))))
        columns = slice(max(0, int(np.floor(x1))), max(0, int(np.ceil(x2))))
        inside = found[rows, columns]
        if x2 > x1 and y2 > y1 and inside.size:
            squares = (inside.shape[0] / LEAST + 2) * (inside.shape[1] / LEAST + 2)
            assert colours_in(inside) <= squares
            near[rows, columns] = True
    side = max(LEAST, int(np.ceil(np.minimum(*np.clip(hidden[:, 2:] - hidden[:, :2], 0, 110).T).max() / 4)))
    reach = cv2.dilate(near.astype(np.uint8), np.ones((2 * side + 1, 2 * side + 1), np.uint8))
    assert not (changed & (reach == 0)).any()


def test_a_region_of_hardly_any_height_is_hidden_too() -> None:
    image = noise(5, 6)
    found = pixelated(image, boxes((0, 0, 6, 1e-45)))
    assert colours_in(found) == 1


def test_a_person_is_at_most_a_few_squares_wide_however_large() -> None:
    for width in (40, 160, 640):
        found = pixelated(noise(720, 720), boxes((20, 20, 20 + width, 700)))
        assert colours_in(found[300:301, 20 : 20 + width]) <= 5


def test_all_scored_boxes_are_hidden_with_a_margin_or_their_upper_thirds() -> None:
    given_boxes = boxes((10, 20, 50, 110))
    assert regions(given_boxes, "none").shape == (0, 4)
    np.testing.assert_allclose(regions(given_boxes, "people"), [[6, 11, 54, 119]])
    np.testing.assert_allclose(regions(given_boxes, "faces"), [[6, 11, 54, 59]])


def test_a_picture_with_nothing_to_hide_is_itself() -> None:
    image = noise(20, 30)
    assert pixelated(image, boxes()) is image
    assert pixelated(image, boxes((40, 40, 50, 50))) is image


def test_of_a_crop_all_is_hidden_or_its_upper_third() -> None:
    crop = noise(32, 32)
    assert colours_in(pixelated_crop(crop, "people")) == 16
    faces = pixelated_crop(crop, "faces")
    assert colours_in(faces[:11]) <= 8
    assert np.array_equal(faces[16:], crop[16:])
    assert pixelated_crop(crop, "none") is crop


def test_flow_is_white_where_nothing_moves_and_has_one_hue_a_direction() -> None:
    flow = np.zeros((3, 4, 2), np.float32)
    flow[1] = [(2, 0), (0, 2), (-2, 0), (0, -2)]
    flow[2] = [(1, 0), (0, 1), (-1, 0), (0, -9)]
    found = flow_colours(flow, 2.0)
    assert (found[0] == 255).all()
    red, chartreuse, cyan, violet = (0, 0, 255), (0, 255, 128), (255, 255, 0), (255, 0, 128)
    np.testing.assert_allclose(found[1], [red, chartreuse, cyan, violet], atol=1)
    np.testing.assert_allclose(found[2][0], (128, 128, 255), atol=1)
    assert np.array_equal(found[2][3], found[1][3]), "longer than the longest is as strong as colours get"


def test_errors_grow_brighter_step_by_step() -> None:
    found = error_colours(np.linspace(0, 5, 256, dtype=np.float32)[None], 5.0)
    lightness = cv2.cvtColor(found, cv2.COLOR_BGR2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= -1).all()
    assert lightness[-1] - lightness[0] > 150
    steps = lightness[32::32] - lightness[:-32:32]
    assert steps.min() > 0.6 * steps.mean(), "even steps look alike"
    assert np.array_equal(error_colours(np.zeros((1, 1), np.float32), 0.0), found[:, :1])


def test_pictures_are_magnified_pixel_by_pixel_and_come_back_from_their_files() -> None:
    image = noise(5, 7)
    large = magnified(image)
    assert large.shape == (20, 28, 3)
    assert np.array_equal(large[2::4, 1::4], image)
    assert np.array_equal(cv2.imdecode(np.frombuffer(png(large), np.uint8), cv2.IMREAD_COLOR), large)
    assert cv2.imdecode(np.frombuffer(jpeg(large), np.uint8), cv2.IMREAD_COLOR).shape == large.shape


def some_examples(count: int, seed: int = 1) -> NormalExamples:
    return NormalExamples.of(*make_cubes(count, seed))


def test_the_nearest_example_of_one_of_them_is_itself() -> None:
    known = some_examples(20)
    one = NormalExamples(known.appearance[7:8], known.flow[7:8])
    found = known.nearest(one, 3)
    assert found[0] == (7, 0.0)
    assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    assert len(found) == 3
    assert len(known.nearest(one, 99)) == 20


def test_looks_and_motion_count_the_same_whatever_their_units() -> None:
    known = some_examples(30)
    one = some_examples(1, seed=5)
    before = known.nearest(one, 30)
    scaled, asked = (NormalExamples(each.appearance, (each.flow * np.float16(16)).astype(np.float16))
                     for each in (known, one))  # fmt: skip
    assert [number for number, _ in scaled.nearest(asked, 30)] == [number for number, _ in before]
    own = [np.mean([d**2 for _, d in known.nearest(NormalExamples(known.appearance[i:i + 1], known.flow[i:i + 1]), 30)])
           for i in range(30)]  # fmt: skip
    assert np.mean(own) == pytest.approx(4, rel=1e-3), "twice the variance of each of two parts that count the same"


def test_a_shift_by_a_pixel_matters_less_than_another_motion() -> None:
    known = some_examples(10)
    shifted = np.roll(known.appearance[3:4], 1, axis=2)
    assert known.nearest(NormalExamples(shifted, known.flow[3:4]), 1)[0][0] == 3
    assert known.nearest(NormalExamples(shifted, known.flow[5:6]), 10)[0][1] > 0.2


def test_no_examples_have_no_nearest() -> None:
    assert NO_EXAMPLES.nearest(some_examples(1), 3) == []
    assert NO_EXAMPLES.arrays == {}


def test_examples_of_another_shape_or_type_are_refused() -> None:
    known = some_examples(2)
    with pytest.raises(BundleError, match="shapes"):
        NormalExamples(known.appearance[:1], known.flow)
    with pytest.raises(BundleError, match="float32"):
        NormalExamples(known.appearance, known.flow.astype(np.float32))  # type: ignore[arg-type]


def test_examples_are_the_last_crop_and_the_median_flow_of_cubes_evenly_taken(tmp_path: Path) -> None:
    pixels, flow = make_cubes(30, 1)
    put_clip(tmp_path, "a", (0, 10), {4: 20, 5: 10}, rows=7, content=(pixels, flow))
    table = StcTable(str(tmp_path))
    found = normal_examples(table, 4)
    numbers = [0, 9, 19, 29]
    assert np.array_equal(found.appearance, pixels[numbers, -1])
    assert np.array_equal(found.flow, np.median(flow[numbers].astype(np.float32), axis=1).astype(np.float16))
    assert len(normal_examples(table, 0)) == 0
    assert len(normal_examples(table, 99)) == 30
