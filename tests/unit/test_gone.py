"""What has gone has no box, nor have light and shadow; what is there has one, whatever is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf2vad.cubes.detectors.detector import NO_BOXES, FrameContext, Resources
from hf2vad.cubes.detectors.foreground import ForegroundDetector, outlined, sharp
from hf2vad.cubes.detectors.ground import smooth
from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import ConfigError
from hf2vad.presets import preset
from hf2vad.schema import F32, U8
from tests.moving import HEIGHT, WIDTH, extract, only_video, write_video

PERSON = (60, 20, 74, 56)
CHECKED = ForegroundConfig(outline=0.5)
GROUNDS = ("plain", "rough", "bricks")


def empty(kind: str, seed: int = 0) -> U8:
    """A place without anybody: plain asphalt, rough ground, or a brick wall with strong joints."""
    rng = np.random.default_rng(seed)
    if kind == "plain":
        return np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    if kind == "rough":
        return np.asarray(cv2.GaussianBlur(rng.integers(40, 180, (HEIGHT, WIDTH, 3), np.uint8), (7, 7), 0), np.uint8)
    wall = np.full((HEIGHT, WIDTH, 3), (70, 80, 140), np.uint8)
    wall[::6] = 190
    for row in range(0, HEIGHT, 6):
        wall[row : row + 6, (row // 6 % 2) * 5 :: 10] = 190
    return wall


def with_person(picture: U8, at: tuple[int, int, int, int] = PERSON, colour: tuple[int, int, int] = (60, 30, 20)) -> U8:
    x1, y1, x2, y2 = at
    image = picture.copy()
    image[y1:y2, x1:x2] = colour
    return image


def seen(picture: U8, seed: int = 1) -> U8:
    """The picture as a camera gives it, with noise."""
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def boxes(image: U8, ground: U8, config: ForegroundConfig = CHECKED) -> F32:
    detector = ForegroundDetector(config, Resources())
    return detector.boxes(FrameContext(video="v", index=0, image=image, background=ground), NO_BOXES).boxes


def ratio(image: U8, ground: U8, at: tuple[int, int, int, int] = PERSON) -> float:
    x1, y1, x2, y2 = at
    contour = np.array([[[x1, y1]], [[x1, y2 - 1]], [[x2 - 1, y2 - 1]], [[x2 - 1, y1]]], np.int32)
    return outlined(contour, smooth(image), smooth(ground))


@pytest.mark.parametrize("kind", GROUNDS)
def test_who_is_there_has_a_box_and_who_has_gone_has_none(kind: str) -> None:
    place = empty(kind)
    there, gone = seen(with_person(place)), seen(place)
    (box,) = boxes(there, place)
    assert np.abs(box - PERSON).max() <= 4
    assert len(boxes(gone, with_person(place), ForegroundConfig())) == 1, "without a look at the outline"
    assert len(boxes(gone, with_person(place))) == (kind == "bricks"), "strong joints are an outline too"


@pytest.mark.parametrize("kind", GROUNDS)
@pytest.mark.parametrize("colour", [(60, 30, 20), (200, 190, 180)])
def test_the_outline_of_who_is_there_is_strong_before_any_ground(kind: str, colour: tuple[int, int, int]) -> None:
    place = empty(kind)
    assert ratio(seen(with_person(place, colour=colour)), place) > 0.8
    if kind != "bricks":
        assert ratio(seen(place), with_person(place, colour=colour)) < 0.45


def test_somebody_else_who_stands_where_one_has_gone_from_has_a_box() -> None:
    place = empty("rough")
    now, background = seen(with_person(place, colour=(220, 60, 40))), with_person(place)
    (box,) = boxes(now, background)
    assert np.abs(box - PERSON).max() <= 4


def test_in_other_light_it_is_the_same() -> None:
    place = empty("rough")
    darker = np.asarray(cv2.convertScaleAbs(seen(place), alpha=0.6), np.uint8)
    assert len(boxes(darker, with_person(place), ForegroundConfig(threshold=15))) == 1
    assert len(boxes(darker, with_person(place), replace(CHECKED, threshold=15))) == 0


def test_only_the_outline_inside_of_the_picture_counts() -> None:
    place = seen(empty("plain"), 2)
    at_edge = (0, 20, 14, HEIGHT)
    assert ratio(seen(with_person(place, at_edge)), place, at_edge) > 5
    assert ratio(seen(place), with_person(place, at_edge), at_edge) < 0.3
    whole = (0, 0, WIDTH, HEIGHT)
    assert ratio(seen(place), with_person(place, whole), whole) == 1, "nothing of the outline is inside"


def with_light(picture: U8, strength: float, spread: float = 10.0) -> U8:
    """The picture with a soft patch of light, or of shadow where `strength` is negative, in grey levels."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    patch = np.exp(-((columns - 50) ** 2 + (rows - 40) ** 2) / (2 * spread**2))
    return np.clip(picture + strength * patch[..., None], 0, 255).astype(np.uint8)


SHARP = ForegroundConfig(sharpness=1.2)


@pytest.mark.parametrize("kind", GROUNDS)
@pytest.mark.parametrize("strength", [-60, 60])
def test_light_and_shadow_have_no_box(kind: str, strength: float) -> None:
    place = empty(kind)
    lit = seen(with_light(place, strength))
    assert len(boxes(lit, place, ForegroundConfig())) == 1
    assert len(boxes(lit, place, SHARP)) == 0


def test_who_casts_a_soft_shadow_has_a_box_with_it() -> None:
    place = empty("rough")
    image = seen(with_person(with_light(place, -60)))
    assert boxes(image, place, SHARP).tolist() == boxes(image, place, ForegroundConfig()).tolist()


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("kind", GROUNDS)
def test_who_is_out_of_focus_has_a_box(kind: str, blur: float) -> None:
    place = empty(kind)
    there = with_person(place)
    if blur:
        place, there = (np.asarray(cv2.GaussianBlur(each, (0, 0), blur), np.uint8) for each in (place, there))
    assert len(boxes(seen(there), place, replace(CHECKED, sharpness=1.2))) == 1


def test_a_step_is_three_times_as_steep_as_it_is_high() -> None:
    place, there = empty("plain"), with_person(empty("plain"))
    x1, y1, x2, y2 = PERSON
    contour = np.array([[[x1, y1]], [[x1, y2 - 1]], [[x2 - 1, y2 - 1]], [[x2 - 1, y1]]], np.int32)
    assert sharp(contour, smooth(there), smooth(place)) == pytest.approx(3, rel=0.15)


def leaves(count: int = 60, stays: int = 40) -> Iterator[U8]:
    """Somebody stands at `PERSON` for most of the time, and has gone then; a thing crosses above all the while."""
    place = empty("rough")
    for number in range(count):
        image = with_person(place) if number < stays else place
        yield seen(with_person(image, (number, 2, number + 12, 12), (230, 220, 40)), number)


def test_where_somebody_stood_for_most_of_a_video_no_box_is_left_behind(tmp_path: Path) -> None:
    stays = 40
    write_video(tmp_path / "clip.mp4", leaves(stays=stays))

    def at_person(outline: float) -> list[int]:
        """Frames after the person has left that have a box where they stood."""
        whole = preset("features").extraction
        foreground = replace(whole.detector.foreground, outline=outline)
        config = replace(whole, detector=replace(whole.detector, foreground=foreground))
        cut = extract(only_video(tmp_path), 1000, Extractor(config))
        return [
            batch.frame for batch in cut[stays + 5 :] if (np.abs(batch.boxes - PERSON).max(1, initial=0) <= 6).any()
        ]

    assert len(at_person(0.0)) == 15
    assert at_person(0.5) == []
    assert preset("features").extraction.detector.foreground.outline == 0.5
    assert preset("compact").extraction.detector.foreground == preset("features").extraction.detector.foreground


def test_shards_do_not_show(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", leaves())
    config = preset("features").extraction
    whole, parts = (extract(only_video(tmp_path), length, Extractor(config)) for length in (1000, 7))
    assert [batch.boxes.tobytes() for batch in parts] == [batch.boxes.tobytes() for batch in whole]


@pytest.mark.parametrize(("name", "value", "most"), [("outline", -0.1, 1), ("outline", 1.0, 1), ("sharpness", 4.0, 4)])
def test_a_share_out_of_range_is_refused(name: str, value: float, most: int) -> None:
    with pytest.raises(ConfigError, match=rf"detector\.foreground\.{name} must be at least 0 and below {most}"):
        ForegroundConfig(**{name: value})
