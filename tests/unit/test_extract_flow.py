"""Where flow is computed: between the frames, around the boxes, and of the parts that need it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.flow import FlowEstimator, Region, flow_regions, moving_parts
from hf2vad.cubes.settings import ExtractionConfig, FlowConfig, MotionConfig
from hf2vad.schema import U8, CubeBatch
from tests.moving import (
    BOXES,
    HEIGHT,
    MOTION,
    MOVING,
    WIDTH,
    extract,
    only_video,
)


def test_flow_is_computed_only_between_frames_that_a_cube_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thing passes in frames 20 to 29 of 60; nothing moves before and after it."""
    ground = cv2.GaussianBlur(np.random.default_rng(3).integers(40, 160, (HEIGHT, WIDTH, 3), np.uint8), (7, 7), 0)
    images = [ground.copy() for _ in range(60)]
    for t in range(20, 30):
        images[t][30:50, 5 * (t - 18) : 5 * (t - 18) + 14] = 250
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number:04d}.png"), image)
    pairs: list[int] = []
    between = FlowEstimator.between

    def counted(self: FlowEstimator, before: U8, after: U8) -> Any:
        pairs.append(1)
        return between(self, before, after)

    monkeypatch.setattr(FlowEstimator, "between", counted)
    batches = extract(only_video(tmp_path), 60, Extractor(MOTION))
    moving = {batch.frame for batch in batches if len(batch)}
    assert moving == set(range(19, 31))
    needed = {pair for frame in moving for pair in range(frame - 3, frame + 1)}
    assert len(pairs) == len(needed)


@pytest.mark.parametrize("even_light", [True, False])
def test_light_that_flickers_is_no_motion_in_a_box(tmp_path: Path, even_light: bool) -> None:
    ground = cv2.GaussianBlur(np.random.default_rng(3).integers(60, 160, (HEIGHT, WIDTH, 3), np.uint8), (7, 7), 0)
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number:04d}.png"), np.clip(ground * (1.2 if number % 2 else 1.0), 0, 255))
    rows = [{"video": tmp_path.name, "frame": 6, "x1": 20.0, "y1": 16.0, "x2": 70.0, "y2": 60.0}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path.parent / "boxes.parquet")
    config = replace(BOXES, flow=MOVING, motion=MotionConfig(even_light=even_light))
    batches = extract(only_video(tmp_path), 8, Extractor(config, str(tmp_path.parent / "boxes.parquet")))
    (cubes,) = [batch for batch in batches if len(batch)]
    assert bool(cubes.flow.any()) is not even_light


def test_flow_around_boxes_is_near_to_flow_of_the_whole_frame() -> None:
    """A large textured thing moves 3 pixels to the right on a still ground."""
    rng = np.random.default_rng(4)
    ground = cv2.GaussianBlur(rng.integers(40, 160, (240, 320), np.uint8), (5, 5), 0)
    thing = cv2.GaussianBlur(rng.integers(60, 256, (60, 40), np.uint8), (5, 5), 0)
    before, after = ground.copy(), ground.copy()
    before[100:160, 150:190] = thing
    after[100:160, 153:193] = thing
    estimator = FlowEstimator(FlowConfig(), width=320, height=240)
    boxes = np.array([[148, 98, 195, 162]], np.float32)
    regions = flow_regions(boxes, (320, 240), 16)
    assert regions == [(128, 64, 224, 192)]
    around = estimator.around(before, after, regions)
    whole = estimator.between(estimator.prepare(before), estimator.prepare(after))
    inside = np.s_[98:162, 148:195]
    assert np.abs(around[inside] - whole[inside]).mean() < 0.1
    assert around[110:150, 160:180, 0].mean() == pytest.approx(3, abs=0.2)
    outside = np.ones((240, 320), bool)
    outside[64:192, 128:224] = False
    assert not around[outside].any()


def test_a_box_in_which_nothing_moves_costs_no_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thing passes through the upper box in frames 10 to 19; nothing moves in the lower one, nor the rest of the
    time, but for the noise of the sensor."""
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(rng.integers(40, 160, (240, 320, 3), np.uint8), (7, 7), 0).astype(np.float64)
    thing = cv2.GaussianBlur(rng.integers(60, 256, (50, 40, 3), np.uint8), (5, 5), 0)
    for t in range(30):
        image = np.clip(ground + rng.normal(0, 2, ground.shape), 0, 255).astype(np.uint8)
        if 10 <= t < 20:
            image[30:80, 3 * t : 3 * t + 40] = thing
        cv2.imwrite(str(tmp_path / f"{t:04d}.png"), image)
    rows = [(t, *box) for t in range(30) for box in ((10.0, 20.0, 150.0, 90.0), (170.0, 150.0, 290.0, 230.0))]
    columns = dict(zip(("frame", "x1", "y1", "x2", "y2"), map(list, zip(*rows, strict=True)), strict=True))
    video = only_video(tmp_path)
    pq.write_table(pa.table({"video": [video.id] * len(rows), **columns}), tmp_path / "boxes.parquet")
    regions: list[Region] = []
    around = FlowEstimator.around

    def counted(self: FlowEstimator, before: U8, after: U8, given: list[Region]) -> Any:
        regions.extend(given)
        return around(self, before, after, given)

    monkeypatch.setattr(FlowEstimator, "around", counted)

    def cubes(region: Any) -> list[CubeBatch]:
        regions.clear()
        config = ExtractionConfig(detector=BOXES.detector, flow=FlowConfig(region=region))
        return extract(video, 30, Extractor(config, str(tmp_path / "boxes.parquet")))

    boxes = cubes("boxes")
    assert len(regions) == 2 * 29
    moving = cubes("moving")
    assert len(regions) == 11, "from frame 9 to 10, when the thing comes, until it has gone"
    assert not any(batch.flow[1::2].any() for batch in moving), "of the lower box"
    assert any(batch.flow[1::2].any() for batch in boxes)
    for ours, theirs in zip(moving[14:20], boxes[14:20], strict=True):
        across = (theirs.boxes[0, 2] - theirs.boxes[0, 0]) / 32
        own, other = (batch.flow[0, -1].astype(np.float32) for batch in (ours, theirs))
        left = int((3 * ours.frame - 10) / across) + 3
        inside = np.s_[8:22, left : left + 4, 0]
        assert own[inside].mean() == pytest.approx(3, abs=0.3)
        assert np.abs(own[inside] - other[inside]).mean() < 0.2


@pytest.mark.parametrize("threshold", [18, 15])
def test_what_moves_in_a_box_are_the_pixels_that_differ_by_more_than_half_of_the_threshold(threshold: int) -> None:
    before = np.full((60, 80), 100, np.uint8)
    after = before.copy()
    after[20:24, 30:33] = 100 + threshold // 2 + 1
    after[40:44, 30:33] = 100 + threshold // 2
    after[22, 10] = after[10, 33:40] = 255

    def moving(*boxes: tuple[float, ...]) -> list[list[float]]:
        return moving_parts(np.array(boxes, np.float32).reshape(-1, 4), before, after, threshold / 2).tolist()

    assert moving((0, 0, 80, 60)) == [[30, 20, 33, 24]]
    assert moving((31, 22, 70, 30)) == [[31, 22, 33, 24]], "no more than what lies in the box"
    assert moving((0, 0, 29, 60), (30, 40, 40, 50), (20.2, 10, 20.8, 30), (90, 10, 99, 20)) == []
    assert moving((32.4, 23.2, 50, 50), (20, 5, 32, 22)) == [[30, 20, 32, 22]]
    assert moving() == []


@given(seed=st.integers(0, 1000))
def test_what_moves_in_a_box_does_not_depend_on_the_other_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 30, (2, 40, 50), np.uint8)
    corners = rng.uniform(-5, 45, (5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 20, (5, 2))], axis=1).astype(np.float32)
    one_by_one = [moving_parts(box[None], before, after, 12) for box in boxes]
    assert np.array_equal(moving_parts(boxes, before, after, 12), np.concatenate(one_by_one))


@given(
    corners=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(1, 90), st.integers(1, 90)), max_size=8
    ),
    margin=st.integers(0, 40),
)
def test_flow_regions_hold_every_box_with_its_margin_and_do_not_depend_on_their_order(
    corners: list[tuple[int, int, int, int]], margin: int
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32).reshape(-1, 4)
    boxes = np.minimum(boxes, np.array([320, 240, 320, 240], np.float32))
    regions = flow_regions(boxes, (320, 240), margin)
    assert regions == flow_regions(boxes[::-1], (320, 240), margin)
    assert bool(regions) == bool(len(boxes))
    for x1, y1, x2, y2 in regions:
        assert 0 <= x1 < x2 <= 320
        assert 0 <= y1 < y2 <= 240
        assert min(x2 - x1, y2 - y1) >= 32
    for x1, y1, x2, y2 in boxes:
        held = (max(x1 - margin, 0), max(y1 - margin, 0), min(x2 + margin, 320), min(y2 + margin, 240))
        assert any(r[0] <= held[0] and r[1] <= held[1] and r[2] >= held[2] and r[3] >= held[3] for r in regions)
