from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.cut import cut_cubes, half, pixel_boxes
from hf2vad.schema import F32, U8

WIDTH, HEIGHT = 97, 61
RNG = np.random.default_rng(7)
FRAMES: list[U8] = [RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(5)]
FLOWS: list[F32] = [RNG.normal(0, 5, (HEIGHT, WIDTH, 2)).astype(np.float32) for _ in range(4)]

coordinate = st.floats(-150, 150, allow_nan=False, width=32)
box = st.tuples(coordinate, coordinate, coordinate, coordinate)


def as_boxes(*rows: tuple[float, ...]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_coordinates_are_rounded_up_and_the_end_is_exclusive() -> None:
    assert pixel_boxes(as_boxes((3.0, 4.1, 9.0, 9.2)), WIDTH, HEIGHT).tolist() == [[3, 5, 9, 10]]


@settings(max_examples=150)
@given(rows=st.lists(box, max_size=6))
def test_pixel_boxes_hold_the_whole_numbers_from_start_to_before_the_end(rows: list[tuple[float, ...]]) -> None:
    for row, (x1, y1, x2, y2) in zip(
        as_boxes(*rows).tolist(), pixel_boxes(as_boxes(*rows), WIDTH, HEIGHT), strict=True
    ):
        assert list(range(x1, x2)) == [x for x in range(WIDTH) if row[0] <= x < row[2]]
        assert list(range(y1, y2)) == [y for y in range(HEIGHT) if row[1] <= y < row[3]]
        assert min(x1, x2) >= 0
        assert max(x1, x2) <= WIDTH


@settings(max_examples=100)
@given(rows=st.lists(box, max_size=6))
def test_a_cube_is_each_frame_and_flow_cropped_and_resized_alone_bit_for_bit(rows: list[tuple[float, ...]]) -> None:
    boxes = as_boxes(*rows)
    kept, appearance, flow = cut_cubes(boxes, FRAMES, FLOWS)
    expected = []
    for x1, y1, x2, y2 in boxes.tolist():
        left, top = max(0, math.ceil(x1)), max(0, math.ceil(y1))
        right, bottom = min(WIDTH, math.ceil(x2)), min(HEIGHT, math.ceil(y2))
        if right > left and bottom > top:
            expected.append((left, top, right, bottom))
    assert kept.sum() == len(appearance) == len(flow) == len(expected)
    for i, (x1, y1, x2, y2) in enumerate(expected):
        for t, frame in enumerate(FRAMES):
            alone = cv2.resize(frame[y1:y2, x1:x2], (32, 32), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(appearance[i, t], alone)
        for t, field in enumerate(FLOWS):
            vectors = cv2.resize(field[y1:y2, x1:x2], (32, 32), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(flow[i, t], vectors.astype(np.float16))


def test_vectors_are_not_rescaled_with_the_crop() -> None:
    flows = [np.full((HEIGHT, WIDTH, 2), (3.0, -1.5), np.float32)] * 4
    _, _, flow = cut_cubes(as_boxes((10, 10, 14, 50)), FRAMES, flows)
    assert (flow == np.array([3.0, -1.5], np.float16)).all()


def test_pixels_outside_the_box_have_no_part_in_its_cube() -> None:
    frames = [frame.copy() for frame in FRAMES]
    boxes = as_boxes((20, 15, 45, 40))
    _, before, _ = cut_cubes(boxes, frames, FLOWS)
    for frame in frames:
        mask = np.ones((HEIGHT, WIDTH), bool)
        mask[15:40, 20:45] = False
        frame[mask] = 0
    _, after, _ = cut_cubes(boxes, frames, FLOWS)
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "gone",
    [
        (5.1, 5.0, 5.9, 20.0),
        (5.0, 5.0, 5.0, 20.0),
        (30.0, 30.0, 20.0, 40.0),
        (-20.0, 0.0, -1.0, 10.0),
        (97.0, 0.0, 120.0, 9.0),
    ],
)
def test_a_box_of_no_area_is_left_out_and_the_others_stay(gone: tuple[float, ...]) -> None:
    first, last = (1.5, 2.5, 30.0, 40.0), (50.0, 10.0, 200.0, 300.0)
    kept, appearance, flow = cut_cubes(as_boxes(first, gone, last), FRAMES, FLOWS)
    assert kept.tolist() == [True, False, True]
    assert len(appearance) == len(flow) == 2


def test_no_boxes_give_no_cubes() -> None:
    kept, appearance, flow = cut_cubes(as_boxes(), FRAMES, FLOWS)
    assert (kept.shape, appearance.shape, flow.shape) == ((0,), (0, 5, 32, 32, 3), (0, 4, 32, 32, 2))
    assert (appearance.dtype, flow.dtype) == (np.uint8, np.float16)


def test_appearance_holds_frames_in_order_and_blue_first() -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), (10 * t, 10 * t + 1, 10 * t + 2), np.uint8) for t in range(5)]
    _, appearance, _ = cut_cubes(as_boxes((3, 3, 60, 50)), frames, FLOWS)
    assert appearance[0, :, 0, 0].tolist() == [[10 * t, 10 * t + 1, 10 * t + 2] for t in range(5)]


@settings(max_examples=100)
@given(
    values=st.lists(
        st.floats(-60000, 60000, width=32) | st.floats(-(2.0**-13), 2.0**-13, width=32), min_size=1, max_size=40
    )
)
def test_half_precision_is_rounded_as_numpy_does_bit_for_bit(values: list[float]) -> None:
    array = np.array(values, np.float32)
    assert np.array_equal(half(array).view(np.uint16), array.astype(np.float16).view(np.uint16))
