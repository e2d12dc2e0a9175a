"""A camera that sways: its frames are laid on its background, its boxes stay where they are in the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, WorkingConfig
from hf2vad.cubes.working import Working
from hf2vad.presets import PRESETS
from hf2vad.schema import F64, U8, CubeBatch
from hf2vad.video import shards
from hf2vad.video.background import Background, background
from hf2vad.video.steady import Landmarks
from hf2vad.video.timeline import probe
from tests.moving import COUNT, content, extract, only_video, scene, write_video

WIDTH, HEIGHT, MARGIN = 192, 144, 12
STEADY = WorkingConfig(steady=True)
FOREGROUND = DetectorConfig(kinds=("foreground",))
WHOLE = DetectorConfig(kinds=("foreground", "motion"))
STANDS = (15, 30)
PERSON = (120, 50, 140, 100)


def ground(seed: int = 3) -> U8:
    """(H, W, 3): what there is around the picture, too."""
    rng = np.random.default_rng(seed)
    size = ((HEIGHT + 2 * MARGIN) // 4, (WIDTH + 2 * MARGIN) // 4, 3)
    squares = rng.integers(60, 130, size, np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    return np.asarray(cv2.GaussianBlur(squares, (3, 3), 0), np.uint8)


def seen(world: U8, offset: Sequence[float] | F64, *, gain: float = 1.0) -> U8:
    """(H, W, 3) picture of a camera whose view lies `offset` (x, y) pixels away from the middle of the world."""
    x, y = MARGIN + offset[0], MARGIN + offset[1]
    cut = cv2.warpAffine(world, np.array([[1, 0, -x], [0, 1, -y]], np.float64), (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
    return np.asarray(np.clip(cut * gain, 0, 255), np.uint8)


def grey(image: U8) -> U8:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def sway(frame: int) -> tuple[float, float]:
    return 4.3 * np.sin(frame / 1.7), 2.6 * np.cos(frame / 2.3)


def sway_widely(frame: int) -> tuple[float, float]:
    return 11 * np.sin(frame / 1.7), 10 * np.cos(frame / 2.3)


def swaying(
    count: int = COUNT, *, still: bool = False, offset: Callable[[int], tuple[float, float]] = sway
) -> Iterator[U8]:
    """Somebody stands at `PERSON` from frame 15 to 29; the camera sways unless it is `still`."""
    world = ground()
    rng = np.random.default_rng(5)
    x1, y1, x2, y2 = np.array(PERSON) + MARGIN
    for number in range(count):
        image = world.copy()
        if STANDS[0] <= number < STANDS[1]:
            image[y1:y2, x1:x2] = (200, 40, 230)
        image = seen(image, (0, 0) if still else offset(number))
        yield np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", swaying())
    return tmp_path


def cut(folder: Path, config: ExtractionConfig, length: int = 1000) -> list[CubeBatch]:
    return extract(only_video(folder), length, Extractor(config))


def background_of(folder: Path) -> Background:
    (shard,) = shards.cut_shards(video := only_video(folder), probe(video), 1000, background=True)
    made = background(shard.stretches[0], steady=True)
    assert made is not None
    return made


@pytest.mark.parametrize("gain", [1.0, 0.5, 1.3])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.25, -1.5), (-8.0, 6.5)])
def test_where_a_picture_lies_is_told_to_a_fraction_of_a_pixel(offset: tuple[float, float], gain: float) -> None:
    world = ground()
    landmarks = Landmarks.of(seen(world, (0, 0)))
    image = seen(world, offset, gain=gain)
    motion = landmarks.motion(grey(image))
    assert motion is not None
    assert np.abs(motion - [[1, 0, -offset[0]], [0, 1, -offset[1]]])[:, 2].max() < 0.3
    assert landmarks.distance(motion) == pytest.approx(np.hypot(*offset), abs=0.1)
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    laid = landmarks.laid(image, motion)[inner].astype(int)
    assert np.abs(laid - seen(world, (0, 0), gain=gain)[inner].astype(int)).mean() < 1.5


def test_a_turned_picture_is_told_and_another_place_is_not() -> None:
    landmarks = Landmarks.of(seen(ground(), (0, 0)))
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 2, 1.01)
    turned = cv2.warpAffine(landmarks.grey, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    motion = landmarks.motion(np.asarray(turned, np.uint8))
    assert motion is not None
    assert np.abs(motion - turn)[:, :2].max() < 0.005
    elsewhere = np.rot90(landmarks.grey, 2)
    assert landmarks.motion(np.ascontiguousarray(elsewhere)) is None
    assert landmarks.motion(np.zeros_like(landmarks.grey)) is None
    assert landmarks.motion(landmarks.grey[:-2]) is None, "a picture of another size"
    assert Landmarks.of(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).motion(landmarks.grey) is None, "nothing to go by"


def test_the_background_of_a_camera_that_sways_is_sharp(clip: Path) -> None:
    made = background_of(clip)
    assert made.landmarks is not None
    still = Landmarks.of(seen(ground(), (0, 0)))
    motion = still.motion(made.landmarks.grey)
    assert motion is not None
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    (shard,) = shards.cut_shards(video := only_video(clip), probe(video), 1000, background=True)
    blurred = background(shard.stretches[0])
    assert blurred is not None
    assert blurred.landmarks is None, "not asked for"
    errors = [
        np.abs(still.laid(picture, motion).astype(int) - still.picture.astype(int))[inner].mean()
        for picture in (made.picture, blurred.picture)
    ]
    assert errors[0] < errors[1] / 2


def test_where_sway_leaves_no_corner_in_the_median_pictures_are_laid_on_one_of_them(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", swaying(offset=sway_widely))
    (shard,) = shards.cut_shards(video := only_video(tmp_path), probe(video), 1000, background=True)
    blurred = background(shard.stretches[0])
    assert blurred is not None
    corners = Landmarks.of(blurred.picture)
    frames = list(swaying(offset=sway_widely))
    assert sum(corners.motion(grey(image)) is not None for image in frames) < COUNT / 2

    made = background_of(tmp_path)
    assert made.landmarks is not None
    motions = [made.landmarks.motion(grey(image)) for image in frames]
    places = np.array([motion[:, 2] for motion in motions if motion is not None])
    assert len(places) == COUNT
    offsets = places + [sway_widely(number) for number in range(COUNT)]
    assert np.ptp(offsets, axis=0).max() < 0.3, "what all have in common is where the background lies in the world"
    assert np.abs(offsets.mean(axis=0)).max() < 6, "between them"
    inner = (slice(2 * MARGIN, -2 * MARGIN), slice(2 * MARGIN, -2 * MARGIN))
    world = seen(ground(), offsets.mean(axis=0))
    errors = [np.abs(each.picture.astype(int) - world)[inner].mean() for each in (made, blurred)]
    assert errors[0] < errors[1] / 2, "sharp"


def test_corners_of_who_was_there_once_are_no_landmarks() -> None:
    x1, y1, x2, y2 = PERSON
    picture = (seen(ground(), (0, 0)) // 3).astype(np.uint8)
    others = [grey(seen(picture, np.subtract(sway(number), MARGIN))) for number in range(9)]
    picture[y1:y2, x1:x2] = ground(seed=8)[y1:y2, x1:x2]
    landmarks = Landmarks.of(picture)
    kept = landmarks.agreeing(others)
    there, left = (each.corners.reshape(-1, 2) for each in (landmarks, kept))
    inside = [((each > (x1, y1)) & (each < (x2, y2))).all(axis=1).sum() for each in (there, left)]
    assert inside[0] >= 5
    assert inside[1] == 0
    assert len(left) > len(there) / 2
    assert landmarks.agreeing([np.zeros_like(landmarks.grey)]) is landmarks, "nobody knows better"


def test_what_is_in_one_picture_alone_is_not_taken_for_the_camera(tmp_path: Path) -> None:
    """A textured car creeps over a plain yard, whose median has no corners."""
    plain, car = np.full((HEIGHT, WIDTH, 3), 90, np.uint8), ground()[:90, :120]
    images = [plain.copy() for _ in range(COUNT)]
    for number, image in enumerate(images):
        image[20:110, number : number + 120] = car
    write_video(tmp_path / "clip.mp4", iter(images))
    assert background_of(tmp_path).landmarks is None


def test_a_video_of_many_places_is_left_as_it_is(tmp_path: Path) -> None:
    """Every fifth frame is of one place, and sways; all others are of places of their own."""
    worlds = (ground() if number % 5 == 0 else ground(seed=100 + number) for number in range(COUNT))
    write_video(tmp_path / "clip.mp4", (seen(world, sway(number)) for number, world in enumerate(worlds)))
    assert background_of(tmp_path).landmarks is None
    config = ExtractionConfig(detector=WHOLE)
    assert content(cut(tmp_path, replace(config, working=STEADY))) == content(cut(tmp_path, config))


def test_a_camera_that_stands_still_is_left_alone_whoever_walks_by(tmp_path: Path) -> None:
    for name, frames in {"stands": swaying(still=True), "walks": scene(COUNT, WIDTH, HEIGHT)}.items():
        folder = tmp_path / name
        folder.mkdir()
        write_video(folder / "clip.mp4", frames)
        assert background_of(folder).landmarks is None
        config = ExtractionConfig(detector=WHOLE)
        assert content(cut(folder, replace(config, working=STEADY))) == content(cut(folder, config))


def test_who_stands_before_a_camera_that_sways_has_a_box_where_they_are(clip: Path) -> None:
    config = ExtractionConfig(detector=FOREGROUND, working=STEADY)
    by_frame = {batch.frame: batch.boxes for batch in cut(clip, config)}
    for frame in range(*STANDS):
        (box,) = by_frame[frame]
        x, y = sway(frame)
        assert np.abs(box - np.subtract(PERSON, (x, y, x, y))).max() <= 6, frame
    others = [*range(STANDS[0]), *range(STANDS[1], COUNT)]
    assert not any(len(by_frame[frame]) for frame in others)
    unsteady = cut(clip, replace(config, working=WorkingConfig()))
    assert sum(len(batch) for batch in unsteady) != STANDS[1] - STANDS[0]


def test_what_stands_still_has_no_motion(clip: Path) -> None:
    batches = cut(clip, ExtractionConfig(detector=FOREGROUND, working=STEADY))[STANDS[0] + 4 : STANDS[1]]
    flows = np.concatenate([batch.flow for batch in batches]).astype(np.float32)
    assert len(flows) == len(batches)
    assert np.linalg.norm(np.median(flows, axis=(2, 3)), axis=-1).max() < 0.2


def test_boxes_of_motion_alone_are_of_what_moves(clip: Path) -> None:
    config = ExtractionConfig(working=STEADY)
    found = [len(batch) for batch in cut(clip, config)]
    moments = [edge + step for edge in STANDS for step in (-1, 0)]
    assert {frame for frame, count in enumerate(found) if count} == set(moments)


@pytest.mark.parametrize("stretch_s", [600.0, 0.7])
def test_cubes_do_not_depend_on_shards(clip: Path, stretch_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "STRETCH_S", stretch_s)
    config = ExtractionConfig(detector=WHOLE, working=STEADY)
    whole = cut(clip, config)
    assert any(map(len, whole))
    for length in (1, 7, 16):
        assert content(cut(clip, config, length)) == content(whole)


def test_given_boxes_are_those_of_the_picture_and_their_cubes_are_steady(clip: Path, tmp_path: Path) -> None:
    boxes = [
        dict(zip(("video", "frame", "x1", "y1", "x2", "y2"), ("clip.mp4", frame, *box), strict=True))
        for frame in range(*STANDS)
        for box in [np.subtract(PERSON, 2 * sway(frame)).astype(np.float32).tolist()]
    ]
    pq.write_table(pa.Table.from_pylist(boxes), tmp_path / "boxes.parquet")
    config = ExtractionConfig(detector=DetectorConfig(kinds=("boxes",)), working=STEADY)
    batches = extract(only_video(clip), 1000, Extractor(config, str(tmp_path / "boxes.parquet")))
    given = {row["frame"]: [row[name] for name in ("x1", "y1", "x2", "y2")] for row in boxes}
    assert {batch.frame: batch.boxes.tolist() for batch in batches if len(batch)} == {
        frame: [box] for frame, box in given.items()
    }
    for batch in batches[STANDS[0] + 4 : STANDS[1]]:
        crops = batch.appearance[0].astype(int)
        assert np.abs(crops - crops[-1]).mean() < 8, batch.frame


def test_a_box_is_the_same_there_and_back_and_stays_in_the_picture() -> None:
    turn = cv2.getRotationMatrix2D((48, 36), 1, 1)
    working = Working((192, 144), (96, 72), np.add(turn, [[0, 0, 3], [0, 0, -2]]))
    boxes = np.array([[20, 30, 31, 48], [60, 22, 70, 29]], np.float32)
    there = working.to_source(boxes)
    assert np.allclose(there[:, 2:] - there[:, :2], 2 * (boxes[:, 2:] - boxes[:, :2]), atol=1e-4)
    assert np.abs(working.from_source(there) - boxes).max() < 0.2
    edges = np.array([[0, 0, 96, 72], [90, 0, 96, 5], [0, 60, 8, 72]], np.float32)
    for moved, (width, height) in ((working.to_source(edges), (192, 144)), (working.from_source(edges), (96, 72))):
        assert (moved >= 0).all()
        assert (moved <= [width, height, width, height]).all()


def greys(folder: Path, working: WorkingConfig) -> list[tuple[int, bytes]]:
    """The frames and pictures that an extractor shows to whoever looks on."""
    video, seen = only_video(folder), list[tuple[int, bytes]]()

    def look(frame: int, picture: U8 | None, _: tuple[int, int]) -> None:
        seen.append((frame, b"" if picture is None else picture.tobytes()))

    extractor = Extractor(ExtractionConfig(detector=FOREGROUND, working=working))
    for shard in extractor.shards(video, probe(video), 1000):
        for _ in extractor.cubes(shard, look):
            pass
    return seen


def test_health_is_told_what_the_camera_shows(clip: Path) -> None:
    shown = greys(clip, STEADY)
    assert [frame for frame, _ in shown] == list(range(COUNT))
    assert shown == greys(clip, WorkingConfig())


def test_the_defaults_are_steady_and_the_papers_presets_are_not() -> None:
    assert {name for name, each in PRESETS.items() if each.extraction.working.steady} == {"compact", "features"}
