from __future__ import annotations

import functools
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video
from hf2vad.cubes.cut import cut_cubes
from hf2vad.cubes.detectors.motion import blurred, motion_boxes
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.flow import FlowEstimator
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.moving import (
    AROUND,
    BOXES,
    COUNT,
    HEIGHT,
    MOTION,
    MOVING,
    WIDTH,
    content,
    extract,
    only_video,
    scene,
    write_video,
)
from tests.onnx_network import PixelNetwork, QueryNetwork

SHARED = Path(__file__).parents[2] / "../shared"
KINDS = [
    "motion",
    "boxes",
    "onnx+motion",
    "detr+boxes",
    "motion, flow around boxes",
    "boxes, flow around boxes",
    "boxes, flow around what moves",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("archive")
    write_video(folder / "clip.mp4", scene(COUNT))
    return only_video(folder)


@pytest.fixture(scope="module")
def extractors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Extractor]:
    """One for each kind of detector."""
    folder = tmp_path_factory.mktemp("boxes")
    rng = np.random.default_rng(5)
    corners = rng.uniform(-5, 60, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 40, (200, 2))], axis=1)
    columns = {name: boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    table = pa.table({"video": ["clip.mp4"] * 200, "frame": rng.integers(0, COUNT, 200), **columns})
    pq.write_table(table, folder / "boxes.parquet")
    pixels = PixelNetwork()
    for column in range(8):
        pixels.cell(0, column, 2, log_size=(1.0, 1.0), seen=(1, 20, 8 * column))
    (folder / "pixels.onnx").write_bytes(pixels.to_bytes())
    queries = QueryNetwork()
    for x in (0.1, 0.3, 0.5, 0.7):
        queries.query((x, 0.1, x + 0.2, 0.5), label=3, seen=(1, 20, int(64 * x)))
    (folder / "queries.onnx").write_bytes(queries.to_bytes())

    def network(name: str, *kinds: str) -> ExtractionConfig:
        config = DetectorConfig(kinds=kinds, model=str(folder / name), min_area=20.0, confidence=0.4)
        return ExtractionConfig(detector=config, motion=MOTION.motion)

    return {
        "motion": Extractor(MOTION),
        "boxes": Extractor(BOXES, str(folder / "boxes.parquet")),
        "onnx+motion": Extractor(network("pixels.onnx", "onnx", "motion")),
        "detr+boxes": Extractor(network("queries.onnx", "detr", "boxes"), str(folder / "boxes.parquet")),
        "motion, flow around boxes": Extractor(ExtractionConfig(motion=MOTION.motion, flow=AROUND)),
        "boxes, flow around boxes": Extractor(
            ExtractionConfig(detector=BOXES.detector, flow=AROUND), str(folder / "boxes.parquet")
        ),
        "boxes, flow around what moves": Extractor(
            ExtractionConfig(detector=BOXES.detector, flow=MOVING), str(folder / "boxes.parquet")
        ),
    }


@pytest.fixture(scope="module")
def whole(clip: Video, extractors: dict[str, Extractor]) -> dict[str, list[tuple[Any, ...]]]:
    """What one shard for the whole video gives."""
    return {kind: content(extract(clip, COUNT, extractor)) for kind, extractor in extractors.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(length=st.integers(1, COUNT + 10))
def test_shards_do_not_show(
    kind: str, length: int, clip: Video, extractors: dict[str, Extractor], whole: dict[str, list[tuple[Any, ...]]]
) -> None:
    assert content(extract(clip, length, extractors[kind])) == whole[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_shard_twice_gives_the_same_bytes(
    kind: str, clip: Video, extractors: dict[str, Extractor], whole: dict[str, list[tuple[Any, ...]]]
) -> None:
    (shard,) = cut_shards(clip, probe(clip), 100, start=11, stop=30)
    runs = [content(list(extractors[kind].cubes(shard))) for _ in range(2)]
    assert runs[0] == runs[1] == whole[kind][11:30]
    assert any(flow for *_, flow in runs[0])


def test_every_frame_has_one_batch_in_order_with_its_time(clip: Video, extractors: dict[str, Extractor]) -> None:
    batches = extract(clip, 7, extractors["motion"])
    assert [b.frame for b in batches] == list(range(COUNT))
    assert [b.pts_s for b in batches] == pytest.approx([t / 25 for t in range(COUNT)])
    assert [b.status for b in batches] == ["no_context"] * 4 + ["scored"] * (COUNT - 4)
    assert not any(len(b) for b in batches[:4])


def test_cubes_are_what_the_parts_give_one_after_the_other(clip: Video) -> None:
    """The stream of threads and rolling windows, against the plain computation with everything in memory."""
    (shard,) = cut_shards(clip, probe(clip), COUNT)
    images = [frame.image for frame in decode(shard) if frame.image is not None]
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in images]
    estimator = FlowEstimator(FlowConfig(), width=WIDTH, height=HEIGHT)
    large = [estimator.prepare(grey) for grey in greys]
    flows = [estimator.between(large[t - 1], large[t]) for t in range(1, COUNT)]
    blurs = [blurred(grey, MOTION.motion) for grey in greys]
    batches = list(Extractor(MOTION).cubes(shard))
    cubes = 0
    for t in range(4, COUNT):
        after = blurs[t + 1] if t + 1 < COUNT else None
        boxes = motion_boxes(blurs[t - 1], blurs[t], after, np.empty((0, 4), np.float32), MOTION.motion)
        kept, appearance, flow = cut_cubes(boxes, images[t - 4 : t + 1], flows[t - 4 : t])
        assert np.array_equal(batches[t].boxes, boxes[kept])
        assert np.array_equal(batches[t].appearance, appearance)
        assert np.array_equal(batches[t].flow, flow)
        cubes += len(appearance)
    assert cubes > COUNT


def test_cubes_show_what_moves_and_how_fast(clip: Video, extractors: dict[str, Extractor]) -> None:
    speeds = []
    for batch in extract(clip, COUNT, extractors["motion"], start=8, stop=20):
        for box, flow in zip(batch.boxes, batch.flow.astype(np.float32), strict=True):
            if 15 < box[2] - box[0] < 30 and box[1] < 30:
                speeds.append(np.median(flow[:, 10:22, 10:22, 0]))
    assert len(speeds) >= 5
    assert np.median(speeds) == pytest.approx(2.0, abs=0.3)


def test_cubes_have_the_class_that_the_detector_gave_their_box(clip: Video, extractors: dict[str, Extractor]) -> None:
    classes: set[int] = set()
    for batch in extract(clip, COUNT, extractors["onnx+motion"], start=8, stop=20):
        assert batch.classes is not None
        assert batch.class_scores is not None
        assert batch.classes.shape == batch.class_scores.shape == (len(batch),)
        assert ((batch.classes == -1) == (batch.class_scores == 0)).all()
        assert (np.diff(batch.classes) <= 0).all()  # detected boxes come before what moves
        classes |= set(batch.classes.tolist())
    assert classes == {0, -1}
    (frame,) = extract(clip, COUNT, extractors["detr+boxes"], start=8, stop=9)
    assert frame.classes is not None
    assert set(frame.classes.tolist()) == {3, -1}


def test_boxes_of_no_area_are_dropped_and_counted(clip: Video, tmp_path: Path) -> None:
    rows = {"x1": [5.0, 9.2, 200.0], "y1": [5.0, 9.0, 5.0], "x2": [30.0, 9.8, 220.0], "y2": [40.0, 30.0, 30.0]}
    path = tmp_path / "boxes.parquet"
    pq.write_table(pa.table({"video": [clip.id] * 3, "frame": [10] * 3, **rows}), path)
    batches = extract(clip, COUNT, Extractor(BOXES, str(path)), start=9, stop=12)
    assert [(len(b), b.dropped, b.status) for b in batches] == [(0, 0, "scored"), (1, 2, "scored"), (0, 0, "scored")]
    assert batches[1].boxes.tolist() == [[5, 5, 30, 40]]


@pytest.mark.parametrize("flow", [FlowConfig(), AROUND, MOVING], ids=["frame", "boxes", "moving"])
def test_boxes_outside_of_the_picture_are_dropped_and_counted(flow: FlowConfig, clip: Video, tmp_path: Path) -> None:
    rows = {"x1": [-60.0, 5.0, 5.0, 200.0], "y1": [5.0, -90.0, 5.0, 5.0]}
    rows |= {"x2": [-40.0, 30.0, 30.0, 220.0], "y2": [30.0, -60.0, 30.0, 40.0]}
    path = tmp_path / "boxes.parquet"
    pq.write_table(pa.table({"video": [clip.id] * 4, "frame": [10] * 4, **rows}), path)
    (batch,) = extract(clip, COUNT, Extractor(replace(BOXES, flow=flow), str(path)), start=10, stop=11)
    assert (batch.boxes.tolist(), batch.dropped) == ([[5, 5, 30, 30]], 3)


def prefetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_a_consumer_that_stops_early_leaves_no_thread_behind(clip: Video) -> None:
    (shard,) = cut_shards(clip, probe(clip), 100)
    stream = Extractor(MOTION).cubes(shard)
    for _ in range(6):
        next(stream)
    assert prefetching()
    stream.close()  # type: ignore[attr-defined]
    assert not prefetching()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", scene(300))
    video = only_video(tmp_path)
    timeline = probe(video)

    def peak(frames: int) -> int:
        (shard,) = cut_shards(video, timeline, 1000, stop=frames)
        tracemalloc.start()
        try:
            for _ in Extractor(MOTION).cubes(shard):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)
    assert peak(300) < 1.25 * peak(60)


def test_a_file_of_boxes_needs_neither_blurring_nor_the_frame_after(
    clip: Video, extractors: dict[str, Extractor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted on the real functions: what is computed, and how often."""
    calls: dict[str, int] = {"blurred": 0, "prepare": 0, "between": 0}

    def counted(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            calls[name] += 1
            return function(*args)

        return call

    monkeypatch.setattr("hf2vad.cubes.extract.blurred", counted("blurred", blurred))
    for name in ("prepare", "between"):
        monkeypatch.setattr(FlowEstimator, name, counted(name, getattr(FlowEstimator, name)))
    extract(clip, 100, extractors["boxes"], start=10, stop=20)
    assert calls == {"blurred": 0, "prepare": 14, "between": 13}
    extract(clip, 100, extractors["motion"], start=10, stop=20)
    assert calls == {"blurred": 15, "prepare": 28, "between": 26}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared beside the checkout")
def test_shards_do_not_show_in_real_video() -> None:
    video = only_video(SHARED / "data/videos", "vtest.avi")
    extractor = Extractor(ExtractionConfig())
    whole = content(extract(video, 10_000, extractor, start=60, stop=101))
    assert sum(status == "scored" for _, _, status, *_ in whole) == 41
    for length in (37, 10):
        assert content(extract(video, length, extractor, start=60, stop=101)) == whole
