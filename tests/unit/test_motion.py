from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.detectors.motion import blurred, evened, grown, motion_boxes
from hf2vad.cubes.settings import MotionConfig
from hf2vad.presets import PRESETS
from hf2vad.schema import F32, U8

NONE = np.empty((0, 4), np.float32)
CONFIG = MotionConfig(blur=3, threshold=18, min_area=100)


def scene(*squares: tuple[int, int, int, int], level: int = 200, size: tuple[int, int] = (120, 90)) -> U8:
    """A dark (H, W) frame with bright rectangles x1, y1, x2, y2."""
    image = np.full((size[1], size[0]), 20, np.uint8)
    for x1, y1, x2, y2 in squares:
        image[y1:y2, x1:x2] = level
    return image


def boxes(before: U8 | None, current: U8, after: U8 | None, known: F32 = NONE, config: MotionConfig = CONFIG) -> F32:
    return motion_boxes(before, current, after, known, config)


def test_what_is_there_in_one_frame_alone_is_boxed_and_grown_by_two_pixels() -> None:
    found = boxes(scene(), scene((40, 30, 60, 55)), scene())
    assert found.tolist() == [[38, 28, 62, 57]]
    assert found.dtype == np.float32


def test_a_still_scene_has_no_boxes() -> None:
    still = scene((10, 10, 50, 50))
    assert boxes(still, still, still).shape == (0, 4)


def test_differences_add_up_without_wrapping_around() -> None:
    # 133 to either side: 266, which eight bits would take for 10, below the threshold
    assert len(boxes(scene(), scene((40, 30, 60, 55), level=153), scene())) == 1


@pytest.mark.parametrize(("threshold", "found"), [(254, 1), (255, 1), (279, 1), (280, 0), (400, 0)])
def test_thresholds_that_eight_bits_cannot_hold_are_compared_with_the_whole_sum(threshold: int, found: int) -> None:
    config = MotionConfig(blur=3, threshold=threshold)
    assert len(boxes(scene(), scene((40, 30, 60, 55), level=160), scene(), config=config)) == found


def test_differences_to_both_neighbours_count_together() -> None:
    dim = scene((40, 30, 60, 55), level=30)
    assert len(boxes(scene(), dim, scene())) == 1
    assert len(boxes(scene(), dim, None)) == 0
    assert len(boxes(None, dim, scene())) == 0


def test_a_pixel_moves_when_it_is_above_the_threshold() -> None:
    assert len(boxes(scene(), scene((40, 30, 60, 55), level=38), None)) == 0
    assert len(boxes(scene(), scene((40, 30, 60, 55), level=39), None)) == 1


def test_the_ends_of_a_video_look_at_the_one_neighbour_they_have() -> None:
    thing = scene((40, 30, 60, 55))
    for before, after in ((scene(), None), (None, scene())):
        assert boxes(before, thing, after).tolist() == [[38, 28, 62, 57]]
    assert len(boxes(None, thing, None)) == 0


def test_a_contour_must_be_larger_than_the_smallest_area() -> None:
    # the contour runs through pixel centres: 11 × 11 pixels enclose an area of 100
    assert len(boxes(scene(), scene((40, 30, 51, 41)), None)) == 0
    assert len(boxes(scene(), scene((40, 30, 52, 41)), None)) == 1


def test_a_thin_contour_is_no_object() -> None:
    thin = MotionConfig(blur=3, threshold=18, min_area=10)
    assert len(boxes(scene(), scene((10, 30, 60, 35)), None, config=thin)) == 0
    assert len(boxes(scene(), scene((10, 30, 59, 35)), None, config=thin)) == 1


def test_motion_inside_a_known_box_grown_by_two_pixels_is_the_known_boxes() -> None:
    thing = scene((40, 30, 60, 55))
    assert len(boxes(scene(), thing, None, np.array([[42, 32, 58, 53]], np.float32))) == 0
    beside = boxes(scene(), thing, None, np.array([[30, 20, 44, 60]], np.float32))
    assert beside.tolist() == [[44, 28, 62, 57]]


def test_what_lies_in_a_larger_contour_is_not_boxed_again() -> None:
    ring = scene((20, 20, 90, 80))
    ring[30:70, 30:80] = 20
    ring[40:60, 45:65] = 200
    assert boxes(scene(), ring, None).tolist() == [[18, 18, 92, 82]]


def test_boxes_end_at_the_frames_edge() -> None:
    assert boxes(scene(), scene((0, 0, 20, 30), (100, 70, 120, 90)), None).tolist() == [
        [0, 0, 22, 32],
        [98, 68, 120, 90],
    ]


def test_blurring_takes_noise_of_single_pixels_away() -> None:
    noisy = scene()
    noisy[::9, ::9] = 60
    assert blurred(noisy, MotionConfig(blur=5)).max() < 30
    assert blurred(noisy, MotionConfig(blur=5)).shape == noisy.shape


def test_boxes_grow_on_every_side_and_stay_in_the_frame() -> None:
    around = grown(np.array([[5, 6, 10, 12], [0, 0, 40, 30]], np.float32), 2, 40, 30)
    assert around.tolist() == [[3, 4, 12, 14], [0, 0, 40, 30]]


@settings(max_examples=50)
@given(
    squares=st.lists(st.tuples(st.integers(-5, 110), st.integers(-5, 80), st.integers(1, 40), st.integers(1, 40))),
    grow=st.integers(0, 5),
)
def test_boxes_are_in_the_frame_in_order_and_the_same_twice(
    squares: list[tuple[int, int, int, int]], grow: int
) -> None:
    current = scene(*((max(x, 0), max(y, 0), max(x + w, 0), max(y + h, 0)) for x, y, w, h in squares))
    config = MotionConfig(blur=3, threshold=18, min_area=20, grow=grow)
    found = boxes(scene(), current, None, config=config)
    assert np.array_equal(found, boxes(scene(), current.copy(), None, config=config))
    keys = [(y1, x1, y2, x2) for x1, y1, x2, y2 in found.tolist()]
    assert keys == sorted(keys)
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] <= [120, 90]).all()
    assert (found[:, 2:] > found[:, :2]).all()


@pytest.mark.parametrize("blur", [0, 4, -3])
def test_a_kernel_without_a_middle_is_refused(blur: int) -> None:
    with pytest.raises(Exception, match=r"motion\.blur must be odd"):
        MotionConfig(blur=blur)


EVEN = replace(CONFIG, even_light=True)


def lit(gain: float, *squares: tuple[int, int, int, int]) -> U8:
    """A textured (H, W) frame with bright rectangles, `gain` times as bright."""
    ground = cv2.GaussianBlur(np.random.default_rng(4).integers(30, 150, (90, 120), np.uint8), (5, 5), 0)
    for x1, y1, x2, y2 in squares:
        ground[y1:y2, x1:x2] = 180
    return np.clip(ground * gain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("gain", [0.85, 0.97, 1.0, 1.03, 1.2])
def test_light_that_flickers_moves_nothing_and_hides_nothing(gain: float) -> None:
    still = lit(1.0)
    assert len(boxes(lit(gain), still, lit(gain), config=EVEN)) == 0
    found = boxes(lit(gain), lit(1.0, (40, 30, 60, 55)), lit(1.0), config=EVEN)
    assert np.abs(found - [38, 28, 62, 57]).max() <= 2
    if abs(gain - 1) > 0.1:
        assert len(boxes(lit(gain), still, lit(gain))) > 0, "without the setting"


def test_frames_of_one_light_are_compared_as_they_are() -> None:
    neighbour, current = lit(1.01, (10, 10, 90, 80)), lit(1.0)
    assert evened(neighbour, current) is neighbour
    assert evened(lit(1.1), current) is not neighbour
    dark = np.full_like(current, 5)
    assert evened(dark, current) is dark, "noise tells nothing"


def test_the_defaults_even_light_and_the_papers_presets_do_not() -> None:
    assert {name for name, each in PRESETS.items() if each.extraction.motion.even_light} == {"compact", "features"}
