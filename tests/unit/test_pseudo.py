from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hf2vad.features.feature import CubeArrays
from hf2vad.fitting.pseudo import (
    KINDS,
    NEVER_SEEN,
    HeldOut,
    Kind,
    cubes_of,
    figure_row,
    first_best,
    follow,
    pseudo_anomalies,
    separation,
)
from hf2vad.schema import F16, F32, U8
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcTable
from tests.stc import make_cubes, put_clip


def held(frames: list[int], boxes: list[list[float]] | None = None, videos: list[int] | None = None) -> HeldOut:
    appearance, flow = make_cubes(len(frames), 0)
    corners = np.array(boxes or [[0, 0, 9, 9]] * len(frames), np.float32)
    arrays = CubeArrays(boxes=corners, flow=flow, appearance=appearance)
    return HeldOut(np.array(videos or [0] * len(frames)), np.array(frames, np.int32), arrays)


def changed(held: HeldOut, kind: Kind, seed: int = 0) -> tuple[U8, F16]:
    """Pixels and flow of unusual cubes that are in the boxes of the usual ones."""
    found = pseudo_anomalies(held, kind, seed=seed)
    assert found.boxes is held.cubes.boxes
    return found.pixels, found.flow


def test_skipped_frames_add_up_the_flows_between_and_keep_the_frames_that_are_left() -> None:
    cubes = held([1, 2, 3])
    step = cubes.cubes.flow.astype(np.float32)
    frames, flow = changed(cubes, "speed2")
    assert flow[:, 0] == pytest.approx(step[:, 0] + step[:, 1], rel=1e-2, abs=1e-2)
    assert flow[:, 3] == pytest.approx(step[:, 2] + step[:, 3], rel=1e-2, abs=1e-2)
    assert np.array_equal(flow[:, 1], flow[:, 0])
    assert np.array_equal(frames[:, 2:], cubes.cubes.pixels[:, [0, 2, 4]])
    frames, flow = changed(cubes, "speed3")
    assert flow[:, 2] == pytest.approx(step[:, 1:].sum(1), rel=1e-2, abs=1e-2)
    assert np.array_equal(frames[:, 3:], cubes.cubes.pixels[:, [1, 4]])


def test_frames_from_before_the_cube_are_made_to_move_as_the_flow_says() -> None:
    cubes = held([1], [[10.2, 5, 26.2, 69]])  # 16 by 64 pixels: one of the source is two columns, or half a row
    flow, pixels = np.zeros_like(cubes.cubes.flow), np.zeros_like(cubes.cubes.pixels)
    flow[:, :2] = [1, 4]  # two columns and two rows a frame
    pixels[0, 0, 20, 20] = 200
    cubes = replace(cubes, cubes=replace(cubes.cubes, flow=flow, appearance=pixels))
    frames, _ = changed(cubes, "speed2")
    assert [np.argwhere(frames[0, t, ..., 0]).tolist() for t in range(3)] == [[[12, 12]], [[16, 16]], [[20, 20]]]


def test_against_is_the_cube_played_backwards() -> None:
    cubes = held([1, 2])
    frames, flow = changed(cubes, "against")
    assert np.array_equal(flow, -cubes.cubes.flow[:, ::-1])
    assert np.array_equal(frames, cubes.cubes.pixels[:, ::-1])


def test_sizes_and_places_are_those_of_another_object_of_the_clip() -> None:
    cubes = held([1, 1], [[0, 0, 10, 20], [100, 40, 104, 48]])
    size, place = (pseudo_anomalies(cubes, kind) for kind in ("size", "place"))
    assert size.boxes.tolist() == [[3, 12, 7, 20], [97, 28, 107, 48]]
    assert place.boxes.tolist() == [[97, 34, 107, 54], [3, 6, 7, 14]]
    assert size.pixels is place.pixels is cubes.cubes.pixels
    assert size.flow is cubes.cubes.flow


def test_a_class_never_seen_is_given_to_objects_that_have_one() -> None:
    plain = held([1, 1, 2])
    sure = np.array([0.9, 0, 0.5], np.float32)
    classed = replace(plain, cubes=replace(plain.cubes, classes=np.array([0, -1, 2], np.int32), class_scores=sure))
    unusual = pseudo_anomalies(classed, "class")
    assert unusual.classes is not None
    assert unusual.classes.tolist() == [NEVER_SEEN, -1, NEVER_SEEN]
    assert unusual.class_scores is sure
    assert unusual.pixels is plain.cubes.pixels
    assert unusual.flow is plain.cubes.flow
    assert classed.kinds == list(KINDS)
    none = replace(plain, cubes=replace(plain.cubes, classes=np.full(3, -1, np.int32), class_scores=sure))
    for without in (plain, none):
        assert without.kinds == [kind for kind in KINDS if kind != "class"]


def test_pixels_of_another_object_bring_its_class_and_other_kinds_leave_the_class() -> None:
    plain = held([1, 1])
    sure = np.array([0.9, 0.4], np.float32)
    cubes = replace(plain, cubes=replace(plain.cubes, classes=np.array([0, 7], np.int32), class_scores=sure))
    content = pseudo_anomalies(cubes, "content")
    assert content.classes is not None
    assert content.class_scores is not None
    assert (content.classes.tolist(), content.class_scores.tolist()) == ([7, 0], sure[::-1].tolist())
    assert pseudo_anomalies(cubes, "against").classes is cubes.cubes.classes


def test_each_family_of_kinds_counts_the_same() -> None:
    speeds: dict[Kind, float] = {"speed2": 0.5, "speed3": 1.0}
    others: dict[Kind, float] = {"against": 0.5, "content": 0.6, "size": 0.7, "place": 0.8, "class": 0.9}
    assert figure_row("fusion", "x", speeds | others)["mean"] == pytest.approx(np.mean([0.75, *others.values()]))
    assert figure_row("network", "x", speeds)["mean"] == 0.75


def box(x: float) -> list[float]:
    return [x, 0, x + 10, 20]


def test_an_object_is_followed_by_the_overlap_of_its_boxes() -> None:
    walkers = [[box(3 * t), box(100 - 2 * t)] for t in range(8)]
    cubes = held([t for t in range(8) for _ in range(2)], [corner for pair in walkers for corner in pair])
    for seed in range(6):
        rows = follow(cubes, seed=seed)
        assert rows.tolist() in [list(range(0, 16, 2)), list(range(1, 16, 2))]


def test_when_an_object_is_gone_another_is_chosen_and_each_frame_has_one() -> None:
    cubes = held([0, 1, 2, 7, 8], [box(0), box(2), box(80), box(82), box(82)])
    assert follow(cubes).tolist() == [0, 1, 2, 3, 4]


def test_what_scores_every_unusual_cube_higher_separates_fully_and_noise_does_not() -> None:
    cubes = held([t for t in range(200) for _ in range(2)], [box(50 * (i % 2)) for i in range(400)])
    rng = np.random.default_rng(0)
    normal, noise = rng.normal(0, 1, 400), rng.normal(0, 1, 400)
    assert separation(cubes, normal, normal + 100, smoothing=SmoothingRule(1)) == 1.0
    assert separation(cubes, normal, normal - 100, smoothing=SmoothingRule(1)) == pytest.approx(0.5)
    assert 0.4 < separation(cubes, normal, noise, smoothing=SmoothingRule(1)) < 0.75


def test_a_separation_is_the_auroc_of_frame_maxima() -> None:
    cubes = held([0, 0, 1, 2], [box(0), box(50), box(0), box(0)])
    normal, unusual = np.array([1.0, 5.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0, 2.5])
    rows = follow(cubes, seed=0)
    mixed = np.array([5.0, 2.0, 3.0])
    for row in rows:
        mixed[cubes.frame[row]] = max(mixed[cubes.frame[row]], unusual[row])
    expected = roc_auc_score([0, 0, 0, 1, 1, 1], [5, 2, 3, *mixed])
    assert separation(cubes, normal, unusual, smoothing=SmoothingRule(1), repeats=1) == pytest.approx(expected)


def test_smoothing_does_not_run_from_one_clip_into_the_next() -> None:
    cubes = held([*range(9), *range(9)], videos=[0] * 9 + [1] * 9)
    normal: F32 = np.repeat([0.0, 10.0], 9).astype(np.float32)
    found = separation(cubes, normal.astype(np.float64), normal + 1.0, smoothing=SmoothingRule(9), repeats=1)
    assert found == pytest.approx((81 * 4 - 81) / (18 * 18))


def test_the_first_cubes_of_each_video_are_taken(tmp_path: Path) -> None:
    for video, count in (("a", 40), ("b", 10)):
        for start in (0, 50):
            put_clip(tmp_path, video, (start, start + 50), {start + 10: count // 2, start + 11: count // 2}, rows=8)
    found = cubes_of(StcTable(str(tmp_path)), 40)
    assert np.bincount(found.video).tolist() == [24, 20]
    assert found.frame.max() < 70
    assert len(found) == len(found.cubes.flow) == len(found.cubes.pixels) == len(found.cubes.boxes) == 44
    assert found.kinds == [kind for kind in KINDS if kind != "class"]


def test_classes_are_taken_with_the_cubes(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 50), {10: 3, 11: 3}, classes=[2, -1, 5])
    found = cubes_of(StcTable(str(tmp_path)), 40)
    assert found.cubes.classes is not None
    assert found.cubes.class_scores is not None
    assert found.cubes.classes.tolist() == [2, -1, 5] * 2
    assert found.cubes.class_scores.tolist() == [0.75, 0, 0.75] * 2


def test_what_comes_later_must_be_better_by_the_margin() -> None:
    assert first_best([0.90, 0.901, 0.95, 0.951], 0.002) == 2
    assert first_best([0.9, 0.9], 0.0) == 0
