from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.errors import EvaluationError, NotFoundError, SchemaError
from hf2vad.evaluation.regions import detection_area, overlapping, region_figures, track_scores
from hf2vad.evaluation.tracks import read_tracks
from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation
from hf2vad.schema import TRACKS
from hf2vad.storage import put_table
from tests.scores import Box, Frames, label_table, put_scores, table_path, with_column

Region = tuple[str, int, Box, int]
"""Video, frame, box and track."""

NEVER = -np.inf
TRUE: Box = (10, 10, 30, 50)
HALF_BESIDE: Box = (20, 10, 40, 50)
ELSEWHERE: Box = (100, 100, 120, 140)


def put_tracks(path: Path, *regions: Region, **columns: list[Any]) -> str:
    rows = [
        {"video": video, "frame": frame, "track": track, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))}
        for video, frame, box, track in regions
    ]
    table = pa.Table.from_pylist(rows, schema=TRACKS)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    put_table(str(path), table)
    return str(path)


def figures(folder: Path, videos: dict[str, Frames], *regions: Region, **columns: list[Any]) -> dict[str, Any]:
    for video, frames in videos.items():
        put_scores(folder, video, frames)
    tracks = read_tracks(put_tracks(folder / "tracks.parquet", *regions, **columns))
    return region_figures(str(folder / "bundle=b1"), list(videos), tracks)


def areas(found: dict[str, Any]) -> tuple[float, float]:
    return found["rbdc"], found["tbdc"]


def test_perfect_boxes_shifted_by_half_a_width_score_one(tmp_path: Path) -> None:
    """Shifted by half its width a box shares 1/2 of itself and has an IoU of (1/2) / (3/2) = 1/3, above 0.1. All
    regions are found before the first false positive, so both curves are 1 from 0 on."""
    videos: dict[str, Frames] = {name: [[(0.5, HALF_BESIDE)]] * 20 for name in ("a", "b")}
    regions = [(video, frame, TRUE, frame // 5) for video in videos for frame in range(20)]
    found = figures(tmp_path, videos, *regions)
    assert areas(found) == (1.0, 1.0)
    counts = {name: found[name] for name in ("regions", "regions_unscored", "tracks", "detections", "frames")}
    assert counts == {"regions": 40, "regions_unscored": 0, "tracks": 8, "detections": 40, "frames": 40}


def test_a_false_positive_above_the_true_box_in_every_frame_leaves_nothing(tmp_path: Path) -> None:
    """Every frame has a true box of score 0.5 and a false one of score 0.9. All false ones come first: when the last of
    them is taken there is 1 false positive per frame and nothing is found; the regions are found only there, at the
    right edge of the area. RBDC = TBDC = 0."""
    found = figures(tmp_path, {"a": [[(0.5, TRUE), (0.9, ELSEWHERE)]] * 10}, *(("a", i, TRUE, 0) for i in range(10)))
    assert areas(found) == (0.0, 0.0)


def test_false_positives_above_the_true_box_in_half_of_the_frames_leave_half(tmp_path: Path) -> None:
    """Ten frames, 5 false positives: nothing is found up to 0.5 false positives per frame, everything from there, and
    the curve goes on level to 1: the area is 0.5."""
    frames: Frames = [[(0.5, TRUE), (0.9, ELSEWHERE)], [(0.5, TRUE)]] * 5
    assert areas(figures(tmp_path, {"a": frames}, *(("a", i, TRUE, 0) for i in range(10)))) == (0.5, 0.5)


def test_equal_scores_enter_together_on_a_straight_line(tmp_path: Path) -> None:
    """A true and a false box of one score in every frame: from (0, 0) straight to (1, 1), area 1/2. The one track is
    found with the same scores."""
    frames: Frames = [[(0.5, TRUE), (0.5, ELSEWHERE)]] * 10
    assert areas(figures(tmp_path, {"a": frames}, *(("a", i, TRUE, 0) for i in range(10)))) == (0.5, 0.5)


def test_a_curve_that_passes_one_false_positive_per_frame_is_cut_there(tmp_path: Path) -> None:
    """A true and two false boxes of one score: from (0, 0) to (2, 1), cut at (1, 1/2): area 1/4."""
    frames: Frames = [[(0.5, TRUE), (0.5, ELSEWHERE), (0.5, (200, 0, 210, 10))]] * 10
    assert areas(figures(tmp_path, {"a": frames}, *(("a", i, TRUE, 0) for i in range(10)))) == (0.25, 0.25)


def test_a_track_is_found_with_a_tenth_of_its_regions(tmp_path: Path) -> None:
    """Of a track of 20 regions 2 must be found, of one of 21 regions 3: only the first track is found."""
    frames: list[Any] = [[(0.5, TRUE)] if i < 2 else [] for i in range(20)]
    frames += [[(0.5, TRUE)] if i < 2 else [] for i in range(21)]
    regions = [("a", i, TRUE, int(i >= 20)) for i in range(41)]
    assert areas(figures(tmp_path, {"a": frames}, *regions)) == (pytest.approx(4 / 41), 0.5)


def test_one_box_finds_all_regions_it_overlaps_and_finding_again_is_not_false(tmp_path: Path) -> None:
    beside: Box = (20, 10, 40, 50)
    frames: Frames = [[(0.9, TRUE), (0.8, TRUE), (0.7, ELSEWHERE)]]
    found = figures(tmp_path, {"a": frames}, ("a", 0, TRUE, 0), ("a", 0, beside, 1))
    assert areas(found) == (1.0, 1.0)


def test_tracks_of_one_number_in_two_videos_are_two_tracks(tmp_path: Path) -> None:
    videos: dict[str, Frames] = {"a": [[(0.5, TRUE)]], "b": [[]]}
    found = figures(tmp_path, videos, ("a", 0, TRUE, 7), ("b", 0, TRUE, 7))
    assert (found["tracks"], found["tbdc"]) == (2, 0.5)


def test_frames_of_normal_videos_count_and_so_do_their_false_positives(tmp_path: Path) -> None:
    """One false positive above the only true box: at 1/1 of the frames it alone leaves nothing; a second video with a
    frame of its own halves it."""
    alone = figures(tmp_path / "1", {"a": [[(0.5, TRUE), (0.9, ELSEWHERE)]]}, ("a", 0, TRUE, 0))
    assert areas(alone) == (0.0, 0.0)
    both = figures(tmp_path / "2", {"a": [[(0.5, TRUE), (0.9, ELSEWHERE)]], "b": [[]]}, ("a", 0, TRUE, 0))
    assert areas(both) == (0.5, 0.5)
    more = figures(tmp_path / "3", {"a": [[(0.5, TRUE)], []], "b": [[(0.9, ELSEWHERE)]] * 1}, ("a", 0, TRUE, 0))
    assert areas(more) == pytest.approx((2 / 3, 2 / 3))


def test_regions_on_frames_without_a_score_count_and_are_told(tmp_path: Path) -> None:
    frames: Frames = [None, None, None, None, [(0.5, TRUE)], [(0.5, TRUE)]]
    found = figures(tmp_path, {"a": frames}, *(("a", i, TRUE, 0) for i in (3, 4, 5)))
    assert (found["rbdc"], found["tbdc"], found["regions_unscored"]) == (pytest.approx(2 / 3), 1.0, 1)


def test_where_a_column_says_what_is_anomalous_the_rest_is_not_ground_truth(tmp_path: Path) -> None:
    frames: Frames = [[(0.5, TRUE), (0.9, ELSEWHERE)]]
    regions = (("a", 0, TRUE, 0), ("a", 0, ELSEWHERE, 1))
    assert areas(figures(tmp_path / "1", {"a": frames}, *regions)) == (1.0, 1.0)
    found = figures(tmp_path / "2", {"a": frames}, *regions, anomalous=[True, False], kind=["cart", "walker"])
    assert (*areas(found), found["regions"]) == (0.0, 0.0, 1)


def test_without_an_anomalous_region_both_are_undefined(tmp_path: Path) -> None:
    found = figures(tmp_path, {"a": [[(0.5, TRUE)]]}, ("a", 0, TRUE, 0), anomalous=[False])
    assert (found["rbdc"], found["tbdc"], found["regions"], found["tracks"]) == (None, None, 0, 0)


def test_each_part_has_its_own_figures(tmp_path: Path) -> None:
    """S_p is 10 − S_r here: what the fused score ranks last it ranks first."""
    frames: Frames = [[(2, TRUE), (3, ELSEWHERE)]] * 4
    found = figures(tmp_path, {"a": frames}, *(("a", i, TRUE, 0) for i in range(4)))
    assert areas(found) == areas(found["flow_only"]) == areas(found["speed_yardstick"]) == (0.0, 0.0)
    assert areas(found["frame_only"]) == (1.0, 1.0)
    assert "motion_only" not in found
    with_column(table_path(tmp_path, "a", "objects"), "s_motion", [1.0, 0.0] * 4)
    again = region_figures(str(tmp_path / "bundle=b1"), ["a"], read_tracks(str(tmp_path / "tracks.parquet")))
    assert areas(again["motion_only"]) == (1.0, 1.0)


def test_both_are_what_the_definition_gives_detection_by_detection(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)

    def box() -> Box:
        x, y, width, height = (int(value) for value in rng.integers((0, 0, 4, 4), (30, 30, 20, 20)))
        return x, y, x + width, y + height

    scores = iter(rng.permutation(200) / 16 + 0.125)  # distinct, and exact in 32 bits
    videos = {name: [[(float(next(scores)), box()) for _ in range(4)] for _ in range(20)] for name in ("a", "b")}
    regions = [(name, frame, box(), track) for name in videos for frame in range(20) for track in range(2)]
    found = figures(tmp_path, videos, *regions)

    detections = sorted(
        ((*detection, name, number) for name in videos for number, row in enumerate(videos[name]) for detection in row),
        reverse=True,
    )
    seen: set[Region] = set()
    x, rbdc, tbdc = 0.0, 0.0, 0.0
    for _, own, name, number in detections:
        taken = [
            r
            for r in regions
            if r[:2] == (name, number) and 10 * len(pixels(own) & pixels(r[2])) >= len(pixels(own) | pixels(r[2]))
        ]
        seen |= set(taken)
        if not taken:
            step = min(1 / 40, 1 - x)
            tracks = sum(10 * sum(r[0] == v and r[3] == t for r in seen) >= 20 for v in videos for t in range(2))
            x, rbdc, tbdc = x + step, rbdc + step * len(seen) / 80, tbdc + step * tracks / 4
    assert x == pytest.approx(1.0), "the set must reach the end of the curve"
    assert areas(found) == (pytest.approx(rbdc), pytest.approx(tbdc))
    assert 0.2 < rbdc < tbdc < 1


def corners(draw: st.DrawFn) -> Box:
    x, y = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    return x, y, x + draw(st.integers(1, 6)), y + draw(st.integers(1, 6))


boxes = st.composite(corners)()


def pixels(box: Box) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = map(int, box)
    return set(itertools.product(range(x1, x2), range(y1, y2)))


@settings(max_examples=200)
@given(one=boxes, other=boxes)
def test_boxes_overlap_when_they_share_a_tenth_of_their_pixels(one: Box, other: Box) -> None:
    shared, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
    found = overlapping(np.array([one], float), np.array([other], float))
    assert found.tolist() == [10 * len(shared) >= len(either)]


def test_an_overlap_of_exactly_a_tenth_is_enough() -> None:
    """Boxes of 11 × 5 that share 2 × 5 pixels of 100 together, then 1 × 5 of 105, then none."""
    true = np.array([[0, 0, 11, 5]], float)
    assert overlapping(true, np.array([[9, 0, 20, 5]], float)).tolist() == [True]
    assert overlapping(true, np.array([[10, 0, 21, 5]], float)).tolist() == [False]
    assert overlapping(true, np.array([[11, 0, 22, 5]], float)).tolist() == [False]


finite = st.integers(-5, 5).map(float)
found_at = st.lists(st.one_of(st.just(NEVER), finite), min_size=1, max_size=12)


@settings(max_examples=200)
@given(found=found_at, false=st.lists(finite, max_size=12), frames=st.integers(1, 8))
def test_the_area_is_what_taking_detections_one_score_after_the_other_gives(
    found: list[float], false: list[float], frames: int
) -> None:
    area, x, y = 0.0, 0.0, 0.0
    for score in sorted({*found, *false} - {NEVER}, reverse=True):
        to_x = sum(value >= score for value in false) / frames
        to_y = sum(value >= score for value in found) / len(found)
        if to_x >= 1:
            to_y, to_x = y + (to_y - y) * ((1 - x) / (to_x - x)), 1.0
        area, x, y = area + (to_x - x) * (y + to_y) / 2, to_x, to_y
        if x >= 1:
            break
    area += (1 - x) * y
    result = detection_area(np.array(found), np.array(false), frames)
    assert result == pytest.approx(area)
    assert 0 <= area <= 1 + 1e-12


@settings(max_examples=100)
@given(found=found_at, false=st.lists(finite, max_size=12), frames=st.integers(1, 8), power=st.sampled_from([1, 3, 5]))
def test_only_the_order_of_scores_matters(found: list[float], false: list[float], frames: int, power: int) -> None:
    before = detection_area(np.array(found), np.array(false), frames)
    after = detection_area(2 * np.array(found) ** power - 7, 2 * np.array(false) ** power - 7, frames)
    assert after == pytest.approx(before)


@settings(max_examples=100)
@given(scores=st.lists(finite, min_size=1, max_size=20), false=st.lists(st.floats(-99, -10), max_size=20))
def test_a_detector_that_ranks_every_true_box_first_is_perfect(scores: list[float], false: list[float]) -> None:
    assert detection_area(np.array(scores), np.array(false), 3) == 1.0


@settings(max_examples=100)
@given(rows=st.lists(st.tuples(st.integers(0, 2), finite), min_size=1, max_size=40))
def test_a_track_is_found_at_the_score_at_which_a_tenth_of_its_regions_is(rows: list[tuple[int, float]]) -> None:
    track, found = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    expected = []
    for number in sorted(set(track.tolist())):
        own = found[track == number]
        expected.append(max(score for score in own if 10 * (own >= score).sum() >= len(own)))
    assert track_scores(found, track).tolist() == expected


def test_as_many_boxes_as_in_ped2_take_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def box() -> Box:
        x, y = rng.integers(340), rng.integers(220)
        return float(x), float(y), float(x + 20), float(y + 20)

    for number in range(12):
        put_scores(tmp_path, f"{number:02d}", [[(float(rng.random()), box()) for _ in range(17)] for _ in range(168)])
    regions = [(f"{v:02d}", frame, box(), track) for v in range(12) for frame in range(168) for track in range(2)]
    tracks = read_tracks(put_tracks(tmp_path / "t.parquet", *regions))
    started = time.process_time()
    found = region_figures(str(tmp_path / "bundle=b1"), [f"{number:02d}" for number in range(12)], tracks)
    assert time.process_time() - started < 5
    assert (found["detections"], found["regions"]) == (34_272, 4_032)
    assert 0 < found["rbdc"] < 0.2


def test_a_job_writes_them_beside_the_rest(tmp_path: Path) -> None:
    put_scores(tmp_path, "a.mp4", [[(0.5, TRUE)], [(0.2, ELSEWHERE)]])
    tracks = put_tracks(tmp_path / "tracks.parquet", ("a", 0, HALF_BESIDE, 1))
    labels = label_table(tmp_path / "l.parquet", ("a.mp4", 0, True), ("a.mp4", 1, False))
    job = EvaluateJob(scores=str(tmp_path), labels=labels, out=str(tmp_path), tracks=tracks)
    assert areas(put_evaluation(job)["regions"]) == (1.0, 1.0)


def test_tracks_of_a_video_that_was_not_scored_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="not scored and labelled: 1 video with tracks: 'gone' …"):
        figures(tmp_path, {"a": [[1]]}, ("a", 0, TRUE, 0), ("gone", 0, TRUE, 0))


def test_a_region_on_a_frame_without_a_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="'a': a track is at frame 9, which has no row; score the whole video"):
        figures(tmp_path, {"a": [[1]]}, ("a", 0, TRUE, 0), ("a", 9, TRUE, 0))


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([("a", 0, (5, 5, 5, 9), 0)], "'a', frame 0: a box without area"),
        ([("a", 0, TRUE, 0), ("a", 3, (5, 5, float("nan"), 9), 0)], "'a', frame 3: a box without area"),
        ([("a", 2, TRUE, 4), ("b", 2, TRUE, 4), ("a", 2, ELSEWHERE, 4)], "'a', frame 2: track 4 has two boxes"),
    ],
)
def test_a_region_that_cannot_be_is_an_error_that_names_it(tmp_path: Path, regions: list[Region], message: str) -> None:
    uri = put_tracks(tmp_path / "t.parquet", *regions)
    with pytest.raises(EvaluationError, match=f"{uri}: {message}"):
        read_tracks(uri)


def test_a_table_of_tracks_with_a_null_or_without_a_column_is_an_error(tmp_path: Path) -> None:
    uri = put_tracks(tmp_path / "t.parquet", ("a", 0, TRUE, 0), anomalous=[None])
    with pytest.raises(EvaluationError, match=f"{uri}: not a table of tracks: "):
        read_tracks(uri)
    put_table(uri, pa.table({"video": ["a"], "frame": [0]}))
    with pytest.raises(SchemaError, match=r"no column x1, y1, x2, y2, track; a table of tracks has video, frame, x1"):
        read_tracks(uri)
    with pytest.raises(NotFoundError):
        read_tracks(str(tmp_path / "gone.parquet"))


def test_the_rows_of_a_table_of_tracks_may_come_in_any_order(tmp_path: Path) -> None:
    regions: list[Region] = [("b", 1, TRUE, 0), ("a", 5, TRUE, 2), ("a", 1, ELSEWHERE, 2), ("a", 1, TRUE, 1)]
    found = read_tracks(put_tracks(tmp_path / "t.parquet", *regions))
    assert sorted(found) == ["a", "b"]
    assert found["a"].frame.tolist() == [1, 1, 5]
    assert found["a"].track.tolist() == [1, 2, 2]
    assert found["a"].boxes[1].tolist() == list(ELSEWHERE)
    assert read_tracks(put_tracks(tmp_path / "none.parquet")) == {}
