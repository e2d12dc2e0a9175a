"""A clock burnt into the picture: its line is found and covered, and its digits are no motion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, MotionConfig, WorkingConfig
from hf2vad.presets import PRESETS
from hf2vad.schema import F64, U8
from hf2vad.video import shards
from hf2vad.video.background import Background, background
from hf2vad.video.clock import line_of, seconds_of_clock
from hf2vad.video.timeline import probe
from tests.moving import content, extract, only_video, write_video

WIDTH, HEIGHT = 320, 240
DATE, SECONDS = (104, 20), (190, 20)
LINE = (slice(12, 22), slice(104, 210))
"""Rows and columns of the text, without its outline."""
EVERYTHING = DetectorConfig(kinds=("foreground", "motion"), min_area=20)
CLOCK = ExtractionConfig(
    detector=EVERYTHING, motion=MotionConfig(blur=3, min_area=20), working=WorkingConfig(clock=True)
)
DURATION = 13.5


def times(fps: float, begin: float = 0.0) -> F64:
    return begin + np.arange(round(DURATION * fps)) / fps


def pictures(
    at: F64, *, seconds: bool = True, walks: bool = False, wave: float = 0.0, noise: float = 2.0
) -> Iterator[U8]:
    """(H, W, 3) of a wall with a window, with a date and a clock that goes by `at`: 10:07 becomes 10:08 after 5 s.
    Somebody `walks` below the clock, and a lamp waves by a share."""
    rng = np.random.default_rng(4)
    wall = cv2.GaussianBlur(rng.integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8), (5, 5), 0)
    cv2.rectangle(wall, (220, 60), (280, 140), (180, 170, 160), -1)
    for number, now in enumerate(at.tolist()):
        image = wall.copy()
        if walks:
            x = 4 * number % WIDTH
            image[60 + number % 3 : 130, x : x + 24] = (30, 60, 150)
        second = int(now) + 55
        clock = f"10:{7 + second // 60:02}" + (f":{second % 60:02}" if seconds else "")
        for text, place in (("2026-05-04", DATE), (clock, (SECONDS[0] - 16, SECONDS[1]))):
            for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, thick, cv2.LINE_AA)
        light = 1 + wave * np.sin(2 * np.pi * now / 1.3)
        yield np.clip(image * light + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def greys(images: Iterator[U8]) -> list[U8]:
    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in images]


@pytest.mark.parametrize("fps", [7.0, 10.0, 12.5])
@pytest.mark.parametrize("walks", [False, True])
def test_the_line_of_a_clock_is_found_and_no_more(fps: float, walks: bool) -> None:
    at = times(fps, begin=0.3)
    seen = greys(pictures(at, walks=walks))
    seconds = seconds_of_clock(seen, at)
    assert seconds is not None
    left, top, width, height = cv2.boundingRect(seconds)
    assert SECONDS[0] < left < left + width <= SECONDS[0] + 48
    assert abs(top + height / 2 - SECONDS[1] + 4) < 5
    line = line_of(seconds, np.asarray(np.median(seen, axis=0), np.uint8))
    assert line[LINE].all()
    assert np.count_nonzero(line) < 2.5 * line[LINE].size


@pytest.mark.parametrize(
    ("seconds", "walks", "wave", "noise"),
    [(False, True, 0.0, 2.0), (False, False, 0.3, 2.0), (False, False, 0.0, 25.0), (True, False, 0.3, 25.0)],
)
def test_nothing_is_found_where_no_digits_change_each_second(
    seconds: bool, walks: bool, wave: float, noise: float
) -> None:
    at = times(10.0)
    assert seconds_of_clock(greys(pictures(at, seconds=seconds, walks=walks, wave=wave, noise=noise)), at) is None


def test_of_few_frames_a_second_and_of_a_short_clip_nothing_is_told() -> None:
    slow, short = times(4.0), times(10.0)[:25]
    assert seconds_of_clock(greys(pictures(slow)), slow) is None
    assert seconds_of_clock(greys(pictures(short)), short) is None
    assert seconds_of_clock([], np.empty(0)) is None


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clock")
    write_video(folder / "clip.mp4", pictures(times(10.0)), rate=10)
    return folder


def test_digits_make_no_boxes_where_the_clock_is_covered(clip: Path) -> None:
    covered = extract(only_video(clip), 1000, Extractor(CLOCK))
    shown = extract(only_video(clip), 1000, Extractor(replace(CLOCK, working=WorkingConfig())))
    assert not any(map(len, covered))
    assert sum(map(len, shown)) >= 5


def test_who_walks_by_has_the_same_boxes_and_shards_do_not_show(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", pictures(times(10.0), walks=True), rate=10)
    whole = extract(only_video(tmp_path), 1000, Extractor(CLOCK))
    shown = extract(only_video(tmp_path), 1000, Extractor(replace(CLOCK, working=WorkingConfig())))
    for covered, all_of in zip(whole, shown, strict=True):
        below = all_of.boxes[:, 1] > LINE[0].stop + 10
        for name in ("boxes", "appearance", "flow"):
            assert np.array_equal(getattr(covered, name), getattr(all_of, name)[below]), covered.frame
    assert any(map(len, whole))
    assert sum(map(len, whole)) < sum(map(len, shown))
    for length in (7, 40):
        assert content(extract(only_video(tmp_path), length, Extractor(CLOCK))) == content(whole)


def test_footage_without_a_clock_stays_as_it_is(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", pictures(times(10.0), seconds=False, walks=True), rate=10)
    config = replace(CLOCK, working=WorkingConfig())
    assert content(extract(only_video(tmp_path), 1000, Extractor(CLOCK))) == content(
        extract(only_video(tmp_path), 1000, Extractor(config))
    )


@pytest.mark.parametrize("apart", [False, True])
def test_the_clock_is_looked_for_at_both_ends_of_a_stretch(
    clip: Path, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "STRETCH_S", 12.5)
    if apart:
        monkeypatch.setattr(shards, "FEW_KEYFRAMES", 1)
        monkeypatch.setattr(shards, "DECODED", 5)
    video = only_video(clip)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    first, second = shard.stretches
    assert [window.tolist() for window in first.seconds] == [list(range(120)), list(range(5, 125))]
    assert [window.tolist() for window in second.seconds] == [list(range(15, 135))], "begins before it"
    for stretch in (first, second):
        assert len(stretch.clock) == (2 if apart and stretch is first else 0), "decoded with the samples"
        found = background(stretch, clock=True)
        assert found is not None
        assert found.covered is not None
        assert found.covered[LINE].all()
        unasked = background(stretch)
        assert unasked is not None
        assert unasked.covered is None
        assert np.array_equal(found.picture, unasked.picture)


def test_a_clock_that_somebody_hides_at_first_is_found(tmp_path: Path) -> None:
    at = np.arange(260) / 10
    images = list(pictures(at))
    for number, image in enumerate(images[:110]):
        image[: 40 + number % 7] = 90
    write_video(tmp_path / "clip.mp4", iter(images), rate=10)
    video = only_video(tmp_path)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    found = background(shard.stretches[0], clock=True)
    assert found is not None
    assert found.covered is not None
    assert found.covered[LINE].all()


def test_a_box_is_the_texts_if_half_of_it_lies_there() -> None:
    covered = np.zeros((HEIGHT, WIDTH), np.uint8)
    covered[10:20, 100:200] = 255
    boxes = np.array(
        [
            [100, 10, 200, 20],
            [110, 10, 120, 30],
            [110, 10, 120, 31],
            [90, 0, 130, 200],
            [0, 0, 320, 240],
            [5, 5, 5.2, 9],
            [195, 5, 400, 25],
        ],
        np.float32,
    )
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert Background(picture, covered=covered).shows(boxes).tolist() == [False, False, True, True, True, True, True]
    assert Background(picture).shows(boxes).all()
    assert Background(picture, covered=covered).shows(boxes[:0]).shape == (0,)


def test_folders_of_images_have_no_times_and_no_clock(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for number, image in enumerate(pictures(times(10.0)[:12])):
        cv2.imwrite(str(tmp_path / "clip" / f"{number:03}.png"), image)
    (shard,) = shards.cut_shards(only_video(tmp_path), probe(only_video(tmp_path)), 1000, background=True)
    assert shard.stretches[0].seconds == shard.stretches[0].clock == ()
    assert shard.stretches[0].sampled.size


def test_the_defaults_cover_a_clock_and_the_papers_presets_do_not() -> None:
    assert {name for name, each in PRESETS.items() if each.extraction.working.clock} == {"compact", "features"}
