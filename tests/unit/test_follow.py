"""Flows that are cut where a box's object was, in place of where the box is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.cubes.cut import cut_cubes
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.flow import FlowEstimator
from hf2vad.cubes.follow import Follower, overall_motion
from hf2vad.cubes.settings import FlowConfig, WorkingConfig
from hf2vad.features.feature import CubeArrays
from hf2vad.presets import preset
from hf2vad.schema import F32, U8
from tests.moving import BOXES, MOVING, content, extract, only_video, scene, write_video

WIDTH, HEIGHT = 96, 72
PICTURES: list[U8] = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 5
AS_IT_IS = [(1.0, 1.0)] * 4
FOLLOWED = replace(MOVING, follow=True)


def flows_of(x: int, speed: int, vector: tuple[float, float] | None = None) -> list[F32]:
    """Four flows of a thing of 12×20 pixels that comes to column `x` at `speed` pixels a frame; nothing else moves."""
    flows = []
    for ago in (4, 3, 2, 1):
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        left = x - ago * speed
        flow[30:50, max(left, 0) : max(left + 12, 0)] = vector or (speed, 0.0)
        flows.append(flow)
    return flows


def box(x: float, across: float = 12) -> F32:
    return np.array([[x, 30, x + across, 50]], np.float32)


@pytest.mark.parametrize("speed", [5, -5])
def test_what_is_fast_fills_the_crops_of_all_flows_where_it_is_followed(speed: int) -> None:
    flows = flows_of(44, speed)
    _, _, followed = cut_cubes(box(44), PICTURES, flows, AS_IT_IS)
    assert (followed == np.array([speed, 0], np.float16)).all()
    _, _, still = cut_cubes(box(44), PICTURES, flows)
    assert [bool(crop[..., 0].any()) for crop in still[0]] == [False, False, True, True], "it had not come there yet"


def test_what_does_not_move_is_cut_as_before() -> None:
    flows = [np.random.default_rng(t).normal(0, 0.2, (HEIGHT, WIDTH, 2)).astype(np.float32) for t in range(4)]
    for field in (flows, [np.zeros_like(flow) for flow in flows]):
        _, _, followed = cut_cubes(box(40, 30), PICTURES, field, AS_IT_IS)
        _, _, before = cut_cubes(box(40, 30), PICTURES, field)
        assert np.array_equal(followed, before)


def test_pictures_are_cut_where_the_box_is() -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), np.uint8))
    for ours, theirs in zip(
        cut_cubes(box(44), pictures, flows_of(44, 5), AS_IT_IS)[:2],
        cut_cubes(box(44), pictures, flows_of(44, 5))[:2],
        strict=True,
    ):
        assert np.array_equal(ours, theirs)


def test_a_box_at_the_border_stays_in_the_picture() -> None:
    _, _, followed = cut_cubes(box(2), PICTURES, flows_of(2, 9), AS_IT_IS)
    assert followed.shape == (1, 4, 32, 32, 2)
    follower = Follower((2, 30, 14, 50), (WIDTH, HEIGHT))
    follower.back(np.full((8, 8, 2), (500.0, -500.0), np.float32), (1.0, 1.0))
    assert follower.part(np.indices((HEIGHT, WIDTH)).transpose(1, 2, 0).astype(np.float32))[0, 0].tolist() == [52, 0]


def test_vectors_in_another_unit_lead_to_the_same_place() -> None:
    expected = cut_cubes(box(44), PICTURES, flows_of(44, 5), AS_IT_IS)[2] * 4
    doubled = cut_cubes(box(44), PICTURES, flows_of(44, 5, (20.0, 0.0)), [(0.25, 0.5)] * 4)[2]
    assert np.array_equal(doubled, expected)


def test_the_overall_motion_is_that_of_what_moves() -> None:
    crop = np.zeros((32, 32, 2), np.float32)
    assert overall_motion(crop) == (0.0, 0.0)
    crop[:4, :5] = (3.0, -2.0)
    assert overall_motion(crop) == pytest.approx((3.0, -2.0), rel=1e-6)
    crop[10:14, :5] = (-3.0, 2.0)
    assert overall_motion(crop) == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("units", ["source", "enlarged"])
def test_vectors_are_known_in_pixels_of_the_frame(units: str) -> None:
    config = FlowConfig(units=units, scale=2.0)  # type: ignore[arg-type]
    estimator = FlowEstimator(config, width=80, height=60, source=(320, 240))
    assert estimator.per_frame == pytest.approx((0.25, 0.25) if units == "source" else (0.5, 0.5))


def passing(folder: Path, speed: int, *, enlarged: int = 1) -> list[U8]:
    """Pictures of something of 14×24 pixels that passes at `speed` pixels a frame, as files in `folder`."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.integers(60, 140, (120, 160, 3), np.uint8), (9, 9), 0)
    thing = cv2.GaussianBlur(rng.integers(100, 256, (24, 14, 3), np.uint8), (3, 3), 0)
    pictures = []
    for t in range(14):
        picture = ground.copy()
        picture[50:74, 20 + speed * t : 34 + speed * t] = thing
        pictures.append(np.asarray(cv2.resize(picture, None, fx=enlarged, fy=enlarged), np.uint8))
        cv2.imwrite(str(folder / f"{t:04d}.png"), pictures[-1])
    rows = [(t, 20.0 + speed * t, 50.0, 34.0 + speed * t, 74.0) for t in range(14)]
    frame, *corners = zip(*rows, strict=True)
    columns = {name: enlarged * np.array(each) for name, each in zip(("x1", "y1", "x2", "y2"), corners, strict=True)}
    table = pa.table({"video": [folder.name] * 14, "frame": list(frame), **columns})
    pq.write_table(table, folder.parent / "boxes.parquet")
    return pictures


def least_speeds(folder: Path, flow: FlowConfig, *, longest: int = 0) -> F32:
    """Speeds by the quietest of four flows, of each cube."""
    config = replace(BOXES, flow=flow, working=WorkingConfig(longest=longest))
    batches = extract(only_video(folder), 14, Extractor(config, str(folder.parent / "boxes.parquet")))
    boxes, flows = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("boxes", "flow"))
    return CubeArrays(boxes=boxes, flow=flows, appearance=None).least_speed


@pytest.mark.parametrize(("enlarged", "longest"), [(1, 0), (2, 160)])
def test_what_is_fast_is_measured_as_fast(enlarged: int, longest: int, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    passing(tmp_path / "clip", 5, enlarged=enlarged)
    followed = least_speeds(tmp_path / "clip", FOLLOWED, longest=longest) / enlarged
    still = least_speeds(tmp_path / "clip", MOVING, longest=longest) / enlarged
    assert np.median(followed) > 3.5, "of 5"
    assert np.median(still) < 2, "in the first flow it was beside its box"


def test_what_is_followed_is_what_was_passed_from_frame_to_frame(tmp_path: Path) -> None:
    """At 5 frames a second, and vectors are motion in a tenth of a second: half of what was passed."""
    (tmp_path / "clip").mkdir()
    write_video(tmp_path / "clip.mkv", iter(passing(tmp_path / "clip", 6)), rate=5)
    boxes = pq.read_table(tmp_path / "boxes.parquet")
    named = boxes.set_column(0, "video", pa.array(["clip.mkv"] * len(boxes)))
    pq.write_table(named, tmp_path / "boxes.parquet")
    found = {}
    for follow in (True, False):
        config = replace(BOXES, flow=replace(MOVING, follow=follow), working=WorkingConfig(fps=10.0))
        batches = extract(only_video(tmp_path, "clip.mkv"), 14, Extractor(config, str(tmp_path / "boxes.parquet")))
        flows = np.concatenate([batch.flow for batch in batches])
        found[follow] = CubeArrays(boxes=np.zeros((len(flows), 4), np.float32), flow=flows, appearance=None).least_speed
    assert np.median(found[True]) > 1.85, "of 3; followed by half of what was passed, it leaves its box"
    assert np.median(found[False]) < 1


def test_shards_do_not_show(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", scene(30))
    settings = preset("features").extraction
    assert settings.flow.follow
    one, many = (content(extract(only_video(tmp_path), length, Extractor(settings))) for length in (30, 7))
    assert one == many
    other = content(
        extract(only_video(tmp_path), 30, Extractor(replace(settings, flow=replace(settings.flow, follow=False))))
    )
    assert [row[4] for row in one] == [row[4] for row in other], "the same boxes"
    assert one != other


def test_it_is_part_of_the_settings_of_the_presets_that_add_surprises_alone() -> None:
    following = {
        name
        for name in ("ped2", "avenue", "shanghaitech", "compact", "compact_eq9", "features")
        if preset(name).extraction.flow.follow
    }
    assert following == {"compact", "features"}
