"""Whole objects against a background: moving or not, the same in any shard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf2vad.cubes.detectors.detector import NO_BOXES, FrameContext, Resources
from hf2vad.cubes.detectors.foreground import ForegroundDetector, valleys, without_small
from hf2vad.cubes.detectors.ground import Ground, smooth
from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig
from hf2vad.errors import ConfigError
from hf2vad.presets import preset
from hf2vad.schema import F32, U8
from hf2vad.settings import to_dict
from hf2vad.video import shards
from hf2vad.video.background import background
from hf2vad.video.decode import decode
from hf2vad.video.steady import brightness
from hf2vad.video.timeline import probe
from tests.moving import COUNT, HEIGHT, WIDTH, content, extract, only_video, scene, write_video

FOREGROUND = ExtractionConfig(detector=DetectorConfig(kinds=("foreground",)))
CROWD = ForegroundConfig(valley=0.1)
STANDS = (15, 30)
PERSON = (60, 20, 74, 56)


def standing(count: int = COUNT) -> Iterator[U8]:
    """Nothing moves; from frame 15 to 29 somebody stands at `PERSON`."""
    ground = next(scene(1))
    rng = np.random.default_rng(5)
    x1, y1, x2, y2 = PERSON
    for number in range(count):
        image = ground.copy()
        if STANDS[0] <= number < STANDS[1]:
            image[y1:y2, x1:x2] = (200, 40, 230)
        yield np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", scene(COUNT))
    return tmp_path


def found(image: U8, ground: U8 | None, earlier: F32 = NO_BOXES, config: ForegroundConfig | None = None) -> F32:
    detector = ForegroundDetector(config or ForegroundConfig(), Resources())
    return detector.boxes(FrameContext(video="v", index=0, image=image, background=ground), earlier).boxes


@pytest.mark.parametrize("kinds", [("foreground",), ("foreground", "motion")])
@pytest.mark.parametrize("stretch_s", [600.0, 0.7])
def test_cubes_do_not_depend_on_shards(
    clip: Path, kinds: tuple[str, ...], stretch_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "STRETCH_S", stretch_s)
    config = ExtractionConfig(detector=DetectorConfig(kinds=kinds, foreground=CROWD))
    video = only_video(clip)
    whole = extract(video, 1000, Extractor(config))
    assert sum(len(batch) for batch in whole) > COUNT
    for length in (1, 7, 16):
        assert content(extract(video, length, Extractor(config))) == content(whole)
    later = extract(video, 9, Extractor(config), start=20, stop=33)
    assert content(later) == content(whole[20:33])


def test_who_stands_still_has_a_whole_box_and_motion_finds_none(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", standing())
    by_frame = {batch.frame: batch.boxes for batch in extract(only_video(tmp_path), 1000, Extractor(FOREGROUND))}
    for frame in range(*STANDS):
        (box,) = by_frame[frame]
        assert np.abs(box - PERSON).max() <= 6, frame
    assert not any(len(by_frame[frame]) for frame in [*range(STANDS[0]), *range(STANDS[1], COUNT)])
    moving = extract(only_video(tmp_path), 1000, Extractor(ExtractionConfig()))
    assert not any(len(batch) for batch in moving[STANDS[0] + 2 : STANDS[1] - 2])


@pytest.mark.parametrize(
    ("name", "finds"), [("compact", True), ("features", True), ("compact_eq9", False), ("ped2", False)]
)
def test_by_default_who_stands_still_is_found_and_by_the_papers_presets_only_who_moves(
    name: str, finds: bool, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", standing())
    batches = extract(only_video(tmp_path), 1000, Extractor(preset(name).extraction))
    assert all(len(batch) == finds for batch in batches[STANDS[0] + 2 : STANDS[1] - 2])


def test_images_of_a_folder_have_a_background(tmp_path: Path) -> None:
    for number, image in enumerate(standing()):
        path = tmp_path / "clip" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image)
    whole = extract(only_video(tmp_path), 1000, Extractor(FOREGROUND))
    assert [batch.frame for batch in whole if len(batch)] == list(range(*STANDS))
    assert content(extract(only_video(tmp_path), 8, Extractor(FOREGROUND))) == content(whole)


def test_a_stretch_with_many_keyframes_is_sampled_at_keyframes_alone(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SAMPLES", 4)
    video = only_video(clip)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    (stretch,) = shard.stretches
    assert [(each.start, each.stop) for each in stretch.samples] == [(0, 1), (12, 13), (24, 25), (36, 37)]
    assert background(stretch) is not None
    monkeypatch.setattr(shards, "SAMPLES", 20)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    (samples,) = shard.stretches[0].samples
    assert len(samples.worked) == len(shard.stretches[0].sampled) == 20, "too few keyframes: one run is decoded"


@pytest.mark.parametrize("decoded", [16, 40])
def test_a_long_stretch_with_few_keyframes_is_decoded_in_part(
    clip: Path, decoded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyframes are 0, 12, 24 and 36."""
    monkeypatch.setattr(shards, "FEW_KEYFRAMES", 4)
    monkeypatch.setattr(shards, "SAMPLES", 12)
    monkeypatch.setattr(shards, "DECODED", decoded)
    video = only_video(clip)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    samples = shard.stretches[0].samples
    apart = decoded // 4 / 3
    assert [each.worked.tolist() for each in samples] == [
        [key + int(number * apart) for number in range(3)] for key in (0, 12, 24, 36)
    ]
    whole = list(decode(shard))
    for each in samples:
        for frame in decode(each):
            assert np.array_equal(frame.image, whole[frame.index].image)
    monkeypatch.setattr(shards, "DECODED", COUNT)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    assert len(shard.stretches[0].samples) == 1, "short enough to be decoded from the first sample to the last"


def test_no_background_is_named_where_no_detector_needs_one(clip: Path) -> None:
    video = only_video(clip)
    for config, stretches in ((ExtractionConfig(), 0), (FOREGROUND, 1)):
        (shard,) = Extractor(config).shards(video, probe(video), 1000)
        assert len(shard.stretches) == stretches


def test_a_picture_that_is_brighter_as_a_whole_has_no_foreground() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    ground[20:40, 30:60] = (120, 60, 40)
    bright = cv2.convertScaleAbs(ground, alpha=1.4)
    assert len(found(np.asarray(bright, np.uint8), ground)) == 0


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH, 3), (61, 83, 3), (4, 4, 3), (12, 8, 3)])
def test_brightness_is_the_median_of_every_fourth_pixel(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(shape[0])
    for highest in (2, 256):
        picture = rng.integers(0, highest, shape, np.uint8)
        assert brightness(picture) == max(1.0, float(np.median(picture[::4, ::4])))


def test_who_comes_into_a_half_dark_and_half_bright_picture_does_not_change_its_light() -> None:
    ground = np.full((240, 320, 3), 60, np.uint8)
    ground[:114] = 200
    image = ground.copy()
    image[130:, :60] = 230
    assert brightness(image) > 3 * brightness(ground)
    (box,) = found(image, ground)
    assert np.abs(box - [0, 130, 60, 240]).max() <= 3


def boxes_of_whole_picture(image: U8, ground: U8, config: ForegroundConfig) -> list[list[float]]:
    """Foreground boxes where every step is done to the whole picture."""
    height, width = ground.shape[:2]
    gain = brightness(image) / brightness(ground)
    lit = cv2.convertScaleAbs(cv2.GaussianBlur(ground, (3, 3), 0), alpha=gain)
    mask = (cv2.absdiff(cv2.GaussianBlur(image, (3, 3), 0), lit).max(axis=2) > config.threshold).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (config.close, config.close))
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rectangles = [cv2.boundingRect(contour) for contour in contours if cv2.contourArea(contour) > config.min_area]
    return sorted(
        [max(0, x - 2), max(0, y - 2), min(width, x + w + 2), min(height, y + h + 2)]
        for x, y, w, h in rectangles
        if max(w, h) < 10 * min(w, h)
    )


@pytest.mark.parametrize("close", [3, 7, 31])
def test_boxes_are_those_of_the_whole_picture_though_only_a_part_of_it_is_looked_at(close: int) -> None:
    rng = np.random.default_rng(close)
    ground = cv2.GaussianBlur(rng.integers(60, 160, (HEIGHT, WIDTH, 3), np.uint8), (7, 7), 0)
    config, seen = ForegroundConfig(close=close, min_area=20), 0
    for _ in range(40):
        image = cv2.convertScaleAbs(ground, alpha=float(rng.choice([1.0, 1.1])))
        for _ in range(rng.integers(0, 4)):
            x, y, w, h = rng.integers(-8, WIDTH), rng.integers(-8, HEIGHT), rng.integers(4, 30), rng.integers(4, 30)
            image[max(0, y) : y + h, max(0, x) : x + w] = rng.integers(0, 256, 3)
        boxes = found(np.asarray(image, np.uint8), np.asarray(ground, np.uint8), config=config)
        assert sorted(boxes.tolist()) == boxes_of_whole_picture(image, ground, config)
        seen += len(boxes)
    assert seen > 20


def test_a_change_of_the_whole_picture_gives_no_boxes() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    other = ground.copy()
    other[: HEIGHT * 45 // 100] = (255, 0, 0)
    assert len(found(other, ground)) == 1
    assert len(found(other, ground, config=ForegroundConfig(most=0.4))) == 0


def view(left: int) -> U8:
    """What a camera sees that looks at a long textured wall, from column `left` on."""
    wall = np.random.default_rng(8).integers(0, 256, (10, 40, 3), np.uint8)
    large = cv2.resize(wall, (960, 240), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large[:, left : left + 320], np.uint8)


@pytest.mark.parametrize("light", [0.6, 1.0, 1.2])
def test_a_camera_that_has_turned_shows_other_edges_and_one_that_sees_people_or_other_light_does_not(
    light: float,
) -> None:
    ground, lit = Ground(view(0)), np.linspace(light, 1, 320)[:, None]

    def shown(picture: U8) -> bool:
        seen = (picture * lit).clip(0, 255).astype(np.uint8)
        return ground.shown_in(smooth(seen), ground.gain(seen))

    crowded = view(0)
    crowded[40:, :130] = crowded[80:, 160:260] = (30, 30, 30)
    assert shown(view(0))
    assert shown(crowded)
    assert not shown(view(396))


def test_a_turned_camera_has_no_foreground() -> None:
    whatever = ForegroundConfig(most=1)
    ground, turned = (view(left) // 8 + 60 for left in (0, 396))
    assert len(found(turned, ground, config=whatever)) > 0, "too little contrast to tell"
    ground, turned = (view(left) // 3 + 60 for left in (0, 396))
    with_thing = ground.copy()
    with_thing[20:50, 30:50] = 250
    assert len(found(with_thing, ground)) == 1
    assert len(found(turned, ground, config=whatever)) == 0


def test_a_background_with_few_edges_never_says_that_the_camera_has_turned() -> None:
    plain = np.full((240, 320, 3), 90, np.uint8)
    for poles, shown in ((1, True), (4, False)):
        ground = plain.copy()
        for left in range(40, 40 * (poles + 1), 40):
            ground[:, left : left + 3] = 200
        assert Ground(ground).shown_in(plain, 1.0) == shown


@pytest.mark.parametrize("shape", [(4, 4, 3), (3, 90, 3), (90, 2, 3)])
def test_a_tiny_background_has_no_edges(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert Ground(picture).shown_in(255 - picture, 1.0)


def test_earlier_boxes_are_left_out_and_no_background_gives_no_boxes() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image = ground.copy()
    image[10:30, 10:24] = image[40:60, 60:74] = (250, 250, 250)
    assert len(found(image, ground)) == 2
    (box,) = found(image, ground, np.array([[8, 8, 26, 32]], np.float32))
    assert box[0] > 50
    assert len(found(image, None)) == 0
    assert len(found(image, ground[:, :-2])) == 0


def person(image: U8, foot: int, left: int, colour: tuple[int, int, int]) -> F32:
    """Draws head, trunk and two legs, and gives the box around them: 16 × 40 pixels."""
    top = foot - 40
    image[top : top + 8, left + 5 : left + 11] = colour
    image[top + 8 : top + 24, left : left + 16] = colour
    image[top + 24 : foot, left + 1 : left + 6] = image[top + 24 : foot, left + 10 : left + 15] = colour
    return np.array([left, top, left + 16, foot], np.float32)


@pytest.mark.parametrize("between", [0, 1, 4])
def test_people_side_by_side_have_a_box_each(between: int) -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image = ground.copy()
    people = np.stack(
        [person(image, 60, 20 + number * (16 + between), (200, 40, 230 - 20 * number)) for number in range(3)]
    )
    boxes = found(image, ground, config=CROWD)
    assert len(boxes) == 3
    assert np.abs(boxes - people).max() <= 5
    (all_three,) = found(image, ground)
    assert np.abs(all_three - [20, 20, 68 + 2 * between, 60]).max() <= 5


def test_one_person_and_what_one_wears_are_one_box() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image = ground.copy()
    whole = person(image, 60, 20, (200, 40, 230))
    image[36:38, 20:36] = ground[36:38, 20:36]
    (box,) = found(image, ground, config=CROWD)
    assert np.abs(box - whole).max() <= 5, "a belt in the colour of the wall does not cut"


@pytest.mark.parametrize(
    ("heights", "lowest"),
    [
        ([10, 20, 20, 10], []),
        ([20, 18, 20], []),
        ([20, 17, 20], [1]),
        ([20, 17, 18], []),
        ([20, 17, 16, 18, 20], [2]),
        ([20, 0, 0, 0, 20, 5, 9], [2, 5]),
        ([9, 20, 5], []),
    ],
)
def test_a_valley_lies_below_the_heads_on_both_of_its_sides(heights: list[int], lowest: list[int]) -> None:
    assert valleys(heights, 0.1) == lowest
    assert valleys(heights, 1.0) == []


def test_parts_that_are_too_small_for_a_box_join_the_smaller_one_beside_them() -> None:
    pixels = np.array([9, 9, 1, 5, 5, 1], np.int32)
    assert without_small([0, 2, 3, 5, 6], pixels, 2) == [0, 2, 6]
    assert without_small([0, 2, 3, 5, 6], pixels, 100) == [0, 6]
    assert without_small([0, 2, 3, 5, 6], pixels, 0) == [0, 2, 3, 5, 6]


def test_its_settings_count_where_it_is_used_alone() -> None:
    changed = ForegroundConfig(threshold=30)
    unused = DetectorConfig(foreground=changed)
    assert to_dict(unused.identity()) == to_dict(DetectorConfig().identity())
    assert "foreground" not in to_dict(DetectorConfig())
    used = DetectorConfig(kinds=("foreground",), foreground=changed)
    assert to_dict(used.identity())["foreground"]["threshold"] == 30


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", 0), ("close", 4), ("min_area", -1.0), ("valley", 0.0), ("most", 1.5)]
)
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"detector.foreground.{name} must .*, got {value}"):
        ForegroundConfig(**{name: value})  # type: ignore[arg-type]
