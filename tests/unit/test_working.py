"""Frames larger than the working size: 1080p and 4K clips, generated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.archive.catalog import Video
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import (
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    MotionConfig,
    WorkingConfig,
    extraction_fingerprint,
)
from hf2vad.cubes.working import Working
from hf2vad.errors import ConfigError
from hf2vad.presets import PRESETS
from hf2vad.schema import F32, U8, CubeBatch
from hf2vad.settings import from_dict, to_dict
from hf2vad.video.decode import as_stored, decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.clips import only

LONGEST = 480
SETTINGS = ExtractionConfig(
    working=WorkingConfig(longest=LONGEST), flow=FlowConfig(scale=1.0), motion=MotionConfig(blur=3, min_area=100)
)
AS_CODED = ExtractionConfig(flow=SETTINGS.flow, motion=SETTINGS.motion)
COUNT = 8
"""Frames of a clip."""


def scene(width: int, height: int) -> Iterator[U8]:
    """Two things that cross a soft ground, the same whatever the size: lengths are shares of it."""
    rng = np.random.default_rng(3)
    ground = cv2.resize(rng.integers(40, 160, (18, 32, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    thing = cv2.resize(rng.integers(150, 256, (8, 6, 3), np.uint8), (width // 16, height // 5))
    for t in range(COUNT):
        image = ground.copy()
        for x, y in ((width // 4 + t * width // 160, height // 8), (width // 2 - t * width // 120, height * 5 // 8)):
            image[y : y + thing.shape[0], x : x + thing.shape[1]] = thing
        yield image


def write(path: Path, frames: Iterator[U8], *, lossless: bool = False) -> Video:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = None
        for image in frames:
            if stream is None:
                options = {"qp": "0"} if lossless else {"crf": "16", "bf": "2", "g": "4"}
                stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast", **options})
                stream.codec_context.thread_count = 1
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        assert stream is not None
        container.mux(stream.encode(None))
    return only(path)


def images(video: Video, size: tuple[int, int] | None = None) -> list[U8]:
    sized = as_stored if size is None else lambda *_: size
    (shard,) = cut_shards(video, probe(video), 1000)
    return [frame.image for frame in decode(shard, sized) if frame.image is not None]


def cubes(video: Video, settings: ExtractionConfig, *, length: int = 1000, boxes: str = "") -> list[CubeBatch]:
    extractor = Extractor(settings, boxes)
    return [batch for shard in cut_shards(video, probe(video), length) for batch in extractor.cubes(shard)]


def folder_of(path: Path, frames: list[U8]) -> Video:
    path.mkdir(parents=True)
    for t, image in enumerate(frames):
        cv2.imwrite(str(path / f"{t:03d}.png"), image)
    return only(path)


@dataclass(frozen=True)
class Large:
    """A clip larger than the working size, and its frames at that size as a lossless folder of images."""

    video: Video
    scaled: Video
    width: int
    height: int


@pytest.fixture(scope="module", params=[(1920, 1080), (3840, 2160)], ids=["1080p", "4K"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Large:
    width, height = request.param
    folder = tmp_path_factory.mktemp("large")
    video = write(folder / "clip.mp4", scene(width, height))
    size = SETTINGS.working.size(width, height)
    return Large(video, folder_of(folder / "scaled", images(video, size)), width, height)


@pytest.mark.slow
def test_cubes_are_those_of_the_clip_scaled_beforehand_and_boxes_are_its_boxes_in_source_pixels(large: Large) -> None:
    ours, theirs = cubes(large.video, SETTINGS), cubes(large.scaled, AS_CODED)
    ratio = large.width / LONGEST
    assert sum(map(len, ours)) >= 2 * (COUNT - 4)
    for batch, beforehand in zip(ours, theirs, strict=True):
        assert np.array_equal(batch.boxes, beforehand.boxes * np.float32(ratio))
        assert np.array_equal(batch.appearance, beforehand.appearance)
        flow, unscaled = batch.flow.astype(np.float32), beforehand.flow.astype(np.float32)
        np.testing.assert_allclose(flow, unscaled * ratio, rtol=2e-3, atol=1e-3)  # two roundings to float16


def test_scaling_with_the_colours_is_near_to_scaling_after_them(large: Large) -> None:
    """FFmpeg averages luma and chroma before it converts; OpenCV averages the colours."""
    size = SETTINGS.working.size(large.width, large.height)
    for ours, full in zip(images(large.video, size), images(large.video), strict=True):
        after = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        assert np.abs(ours.astype(np.float32) - after).mean() < 2


@pytest.mark.slow
def test_shards_do_not_show_in_large_clips(large: Large) -> None:
    def content(batches: list[CubeBatch]) -> list[tuple[bytes, ...]]:
        return [(b.boxes.tobytes(), b.appearance.tobytes(), b.flow.tobytes()) for b in batches]

    assert content(cubes(large.video, SETTINGS, length=3)) == content(cubes(large.video, SETTINGS))


def test_given_boxes_are_cut_where_they_lie_and_told_as_given(large: Large, tmp_path: Path) -> None:
    given = np.array([(400.3, 211.7, 601.1, 450.9), (1000, 700, 1003, 900)], np.float32) * (large.width // 1920)
    columns = {name: given[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    path = tmp_path / "boxes.parquet"
    pq.write_table(pa.table({"video": [large.video.id] * 2, "frame": [6, 6], **columns}), path)
    boxes = ExtractionConfig(working=SETTINGS.working, flow=SETTINGS.flow, detector=DetectorConfig(kinds=("boxes",)))
    batch = cubes(large.video, boxes, boxes=str(path))[6]
    assert np.array_equal(batch.boxes, given)
    scaled = np.ceil(given * LONGEST / large.width).astype(int)
    frame = images(large.scaled)[6]
    for (x1, y1, x2, y2), cube in zip(scaled, batch.appearance, strict=True):
        assert np.array_equal(cube[4], cv2.resize(frame[y1:y2, x1:x2], (32, 32)))


def test_motion_is_told_in_source_pixels_whatever_the_working_size(large: Large) -> None:
    upper = []
    for batch in cubes(large.video, SETTINGS)[4:]:
        for box, flow in zip(batch.boxes, batch.flow.astype(np.float32), strict=True):
            if box[1] < large.height / 3:
                upper.append(np.median(flow[:, 8:24, 8:24, 0]))
    assert np.median(upper) == pytest.approx(large.width / 160, rel=0.25)


def test_memory_goes_by_the_working_size(large: Large) -> None:
    """What Python allocates beside FFmpeg's own pictures: frames, flows and crops."""
    tracemalloc.start()
    try:
        cubes(large.video, SETTINGS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    working = 3 * np.prod(SETTINGS.working.size(large.width, large.height))
    assert peak < 120 * working < 40 * 3 * large.width * large.height


def test_large_images_are_scaled_by_area(tmp_path: Path) -> None:
    frames = list(scene(1280, 720))[:6]
    video = folder_of(tmp_path / "images", frames)
    for ours, frame in zip(images(video, SETTINGS.working.size(1280, 720)), frames, strict=True):
        assert np.array_equal(ours, cv2.resize(frame, (480, 270), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("size", "paper", "ours"),
    [
        ((360, 240), (360, 240), (360, 240)),
        ((640, 360), (640, 360), (640, 360)),
        ((856, 480), (856, 480), (640, 359)),
        ((1280, 720), (960, 540), (640, 360)),
        ((1080, 1920), (540, 960), (360, 640)),
        ((4096, 2160), (960, 506), (640, 338)),
        ((9000, 3), (960, 1), (640, 1)),
    ],
)
def test_the_papers_presets_work_on_its_footage_as_coded_and_ours_at_640_pixels(
    size: tuple[int, int], paper: tuple[int, int], ours: tuple[int, int]
) -> None:
    worked = {name: preset.extraction.working.size(*size) for name, preset in PRESETS.items()}
    assert {worked[name] for name in ("ped2", "avenue", "shanghaitech")} == {paper}
    assert {worked[name] for name in ("compact", "features", "compact_eq9")} == {ours}


def test_no_working_size_leaves_every_frame_as_coded() -> None:
    assert WorkingConfig().size(7680, 4320) == (7680, 4320)


@pytest.mark.parametrize("longest", [-1, 63])
def test_a_working_size_too_small_to_work_at_is_refused(longest: int) -> None:
    with pytest.raises(ConfigError, match=f"working.longest must be 0 or at least 64, got {longest}"):
        WorkingConfig(longest=longest)


def test_settings_from_before_there_was_a_working_size_mean_as_coded() -> None:
    old = to_dict(ExtractionConfig())
    del old["working"]
    assert from_dict(ExtractionConfig, old).working.longest == 0
    assert extraction_fingerprint(SETTINGS) != extraction_fingerprint(AS_CODED)


@pytest.mark.slow
def test_whole_pixels_of_both_sizes_stay_whole() -> None:
    working = Working((1440, 1080), (960, 720))
    whole: F32 = np.array([[3, 6, 1440, 1080], [1437, 9, 1440, 12]], np.float32)
    assert working.from_source(whole).tolist() == [[2, 4, 960, 720], [958, 6, 960, 8]]
    assert np.array_equal(working.to_source(working.from_source(whole)), whole)
