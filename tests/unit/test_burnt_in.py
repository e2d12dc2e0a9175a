"""Text burnt into the picture of a camera that sways: it is found, is not followed, and makes no boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, WorkingConfig
from hf2vad.schema import U8
from hf2vad.video import shards
from hf2vad.video.background import Background, background
from hf2vad.video.burnt_in import burnt_in
from hf2vad.video.median import median
from hf2vad.video.timeline import probe
from tests.moving import extract, only_video, write_video

WIDTH, HEIGHT, MARGIN = 320, 240, 12
COUNT = 40
TEXTS = (("2026-05-04 09:00", (150, 20)), ("CAMERA 03", (10, 230)))
EVERYTHING = DetectorConfig(kinds=("foreground", "motion"))


def ground(*, plain: bool = False) -> U8:
    """(H, W, 3) of what is around the picture, too: squares, with a few kerbs; or a wall with little on it."""
    rng = np.random.default_rng(3)
    size = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    if plain:
        image = np.full((*size, 3), 120, np.uint8)
        for x, y in rng.integers(30, (WIDTH - 30, HEIGHT - 30), (32, 2)):
            cv2.rectangle(image, (int(x), int(y)), (int(x) + 9, int(y) + 7), (80, 84, 78), -1)
        return image
    image = rng.integers(60, 130, (size[0] // 4, size[1] // 4, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    for y in (90, 150):
        image[y : y + 3] = 190
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)


def both(frame: int) -> tuple[float, float]:
    return 3.1 * np.sin(frame / 1.7), 2.2 * np.cos(frame / 2.3)


def across(frame: int) -> tuple[float, float]:
    return both(frame)[0], 0.0


def still(_: int) -> tuple[float, float]:
    return 0.0, 0.0


def lettering() -> U8:
    """(H, W): 255 where the text is, with its dark outline."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for text, place in TEXTS:
        cv2.putText(mask, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 3)
    return mask


def lettered(image: U8, seconds: int | None = None) -> U8:
    """The picture with its text, and with a clock's seconds behind the first line."""
    image = image.copy()
    for text, (x, y) in TEXTS:
        line = text if seconds is None or text != TEXTS[0][0] else f"{text}:{seconds:02}"
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(image, line, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thick)
    return image


def pictures(
    sway: Callable[[int], Sequence[float]], *, text: bool, noise: float = 2.0, plain: bool = False
) -> Iterator[U8]:
    """What a camera shows; its clock says another second in each picture."""
    world, rng = ground(plain=plain), np.random.default_rng(5)
    for number in range(COUNT):
        x, y = np.add(sway(number), MARGIN)
        motion = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
        image = np.asarray(cv2.warpAffine(world, motion, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC), np.uint8)
        image = lettered(image, number) if text else image
        yield np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def found(images: Iterator[U8]) -> U8 | None:
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in images]
    return burnt_in(median(greys), greys)


@pytest.mark.parametrize("sway", [both, across])
def test_text_is_covered_with_its_clock_and_little_else(sway: Callable[[int], Sequence[float]]) -> None:
    covered = found(pictures(sway, text=True))
    assert covered is not None
    assert covered[lettering() > 0].all()
    clock = lettered(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 58).any(axis=2)
    assert covered[clock].all(), "seconds"
    assert (covered > 0).mean() < 0.12


@pytest.mark.parametrize("noise", [2.0, 12.0])
@pytest.mark.parametrize(
    ("sway", "text"), [(both, False), (across, False), (still, False), (still, True)], ids=lambda each: str(each)[:14]
)
def test_nothing_is_found_where_nothing_stands_still_or_everything_does(
    sway: Callable[[int], Sequence[float]], text: bool, noise: float
) -> None:
    assert found(pictures(sway, text=text, noise=noise)) is None


def test_pictures_that_are_too_small_for_text_have_none() -> None:
    """A strip of one colour at the top, whose edge stands still while the rest sways."""
    small = [cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA) for image in pictures(both, text=False)]
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in small]
    for grey in greys:
        grey[:8] = 200
    assert burnt_in(median(greys), greys) is None


def background_of(folder: Path) -> Background:
    (shard,) = shards.cut_shards(video := only_video(folder), probe(video), 1000, background=True)
    made = background(shard.stretches[0], steady=True)
    assert made is not None
    return made


def test_the_text_is_not_followed_where_it_is_stronger_than_the_rest(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", pictures(both, text=True, plain=True))
    landmarks = background_of(tmp_path).landmarks
    assert landmarks is not None
    for number, image in enumerate(pictures(both, text=True, plain=True)):
        motion = landmarks.motion(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8))
        assert motion is not None
        if number == 0:
            first = motion[:, 2] + both(0)
        assert np.abs(motion[:, 2] + both(number) - first).max() < 0.6, number


def test_text_makes_no_boxes_where_the_picture_is_held_still(tmp_path: Path) -> None:
    counts = {}
    for text in (False, True):
        folder = tmp_path / str(text)
        folder.mkdir()
        write_video(folder / "clip.mp4", pictures(both, text=text))
        config = ExtractionConfig(detector=EVERYTHING, working=WorkingConfig(steady=True))
        counts[text] = sum(map(len, extract(only_video(folder), 1000, Extractor(config))))
    assert counts == {False: 0, True: 0}
