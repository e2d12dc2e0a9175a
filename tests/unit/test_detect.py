from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.detect import BoxFinder, resolve_detector
from hf2vad.cubes.detectors.boxes import BoxFile
from hf2vad.cubes.detectors.detector import NO_BOXES, FrameContext, Neighbours, Resources
from hf2vad.cubes.detectors.network import without_overlaps
from hf2vad.cubes.detectors.settings import DETECTORS, NoSettings
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, MotionConfig
from hf2vad.cubes.working import Working
from hf2vad.errors import ConfigError, MismatchError, NotFoundError, SchemaError, VideoError
from hf2vad.schema import F32, U8
from tests.onnx_network import PixelNetwork

corner = st.integers(0, 40).map(float)
side = st.integers(1, 30).map(float)
some_boxes = st.lists(st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])))


def as_boxes(*rows: tuple[float, ...]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 4)


def uncovered(boxes: F32, most: float) -> F32:
    return boxes[without_overlaps(boxes, most)]


def covered(small: F32, large: F32) -> float:
    """Share of `small` that lies in `large`."""
    shared = np.clip(np.minimum(small[2:], large[2:]) - np.maximum(small[:2], large[:2]), 0, None).prod()
    return float(shared / (small[2:] - small[:2]).prod())


def test_a_box_that_a_larger_one_mostly_covers_is_dropped() -> None:
    large, inside = (0.0, 0.0, 20.0, 20.0), (5.0, 5.0, 10.0, 10.0)
    assert uncovered(as_boxes(inside, large), 0.6).tolist() == [list(large)]


def test_a_box_may_be_covered_up_to_the_limit() -> None:
    large, six_tenths = (0.0, 0.0, 20.0, 20.0), (14.0, 0.0, 24.0, 10.0)
    assert len(uncovered(as_boxes(large, six_tenths), 0.6)) == 2
    assert len(uncovered(as_boxes(large, six_tenths), 0.59)) == 1


def test_a_small_box_does_not_drop_a_larger_one_that_it_lies_in() -> None:
    large, inside = (0.0, 0.0, 20.0, 20.0), (5.0, 5.0, 10.0, 10.0)
    assert list(large) in uncovered(as_boxes(inside, large), 0.01).tolist()


def test_of_two_equal_boxes_one_stays() -> None:
    box = (3.0, 4.0, 13.0, 24.0)
    assert uncovered(as_boxes(box, box, box), 0.6).tolist() == [list(box)]


@settings(max_examples=150)
@given(rows=some_boxes, most=st.sampled_from([0.3, 0.6, 0.65]), data=st.data())
def test_the_overlap_rule_does_not_depend_on_the_order_of_boxes(
    rows: list[tuple[float, ...]], most: float, data: st.DataObject
) -> None:
    kept = uncovered(as_boxes(*rows), most)
    shuffled = data.draw(st.permutations(rows))
    assert np.array_equal(uncovered(as_boxes(*shuffled), most), kept)
    areas = (kept[:, 2:] - kept[:, :2]).prod(axis=1)
    for i, box in enumerate(kept):
        assert not any(
            covered(box, other) > most + 1e-6 for other, area in zip(kept, areas, strict=True) if area > areas[i]
        )
    if rows:
        assert len(kept)


def box_file(uri: str) -> BoxFile:
    return BoxFile(NoSettings(), Resources(boxes=uri))


def boxes_of(file: BoxFile, video: str, index: int) -> F32:
    return file.boxes(FrameContext(video=video, index=index, image=BLACK), NO_BOXES).boxes


def neighbours(current: U8) -> Neighbours:
    """A frame after a black one, at the end of a video."""
    return Neighbours(before=np.zeros_like(current), current=current, after=None)


BLACK = np.zeros((64, 64, 3), np.uint8)
UNSCALED = Working((64, 64), (64, 64))


def saved(path: Path, columns: dict[str, Any]) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return str(path)


@pytest.fixture
def boxes_file(tmp_path: Path) -> str:
    rows = [
        ("b", 7, 5.0, 9.0, 20.0, 30.0),
        ("a", 4, 1.5, 2.5, 10.0, 20.0),
        ("b", 7, 50.0, 1.0, 60.0, 9.0),
        ("a/c", 0, 0.0, 0.0, 3.0, 3.0),
        ("b", 2, 5.0, 5.0, 9.0, 9.0),
        ("b", 7, 5.0, 9.0, 18.0, 30.0),
    ]
    names = ("video", "frame", "x1", "y1", "x2", "y2")
    return saved(tmp_path / "boxes.parquet", {name: [row[i] for row in rows] for i, name in enumerate(names)})


def test_boxes_of_a_file_come_by_video_and_frame_in_a_fixed_order(boxes_file: str) -> None:
    file = box_file(boxes_file)
    assert boxes_of(file, "b", 7).tolist() == [[50, 1, 60, 9], [5, 9, 18, 30], [5, 9, 20, 30]]
    assert boxes_of(file, "b", 2).tolist() == [[5, 5, 9, 9]]
    assert boxes_of(file, "a", 4).tolist() == [[1.5, 2.5, 10, 20]]
    assert boxes_of(file, "a/c", 0).dtype == np.float32


def test_a_frame_that_the_file_does_not_name_has_no_boxes(boxes_file: str) -> None:
    assert boxes_of(box_file(boxes_file), "b", 3).shape == (0, 4)


def test_a_video_that_the_file_does_not_name_is_an_error_of_that_video(boxes_file: str) -> None:
    with pytest.raises(VideoError, match=r"c: --boxes .*boxes\.parquet has no row for this video"):
        boxes_of(box_file(boxes_file), "c", 0)


def test_boxes_of_a_file_are_used_as_they_are(boxes_file: str) -> None:
    finder = BoxFinder(ExtractionConfig(detector=DetectorConfig(kinds=("boxes",))), boxes_file)
    assert not finder.needs_neighbours
    found = finder.boxes(FrameContext(video="b", index=7, image=BLACK), Working((128, 96), (64, 48)), [])
    assert found.in_source.tolist() == [[50, 1, 60, 9], [5, 9, 18, 30], [5, 9, 20, 30]]
    assert found.in_working.tolist() == [[25, 0.5, 30, 4.5], [2.5, 4.5, 9, 15], [2.5, 4.5, 10, 15]]


def test_boxes_of_a_file_and_motion_outside_them_come_in_the_order_of_the_kinds(boxes_file: str) -> None:
    moved = np.zeros((64, 64), np.uint8)
    moved[10:28, 6:18] = 200  # inside two of the given boxes
    moved[40:60, 40:60] = 200
    frame = FrameContext(video="b", index=7, image=BLACK, neighbours=neighbours(moved))
    motion = MotionConfig(blur=3, threshold=18, min_area=100)

    def found(*kinds: str) -> F32:
        extraction = ExtractionConfig(detector=DetectorConfig(kinds=kinds), motion=motion)
        return BoxFinder(extraction, boxes_file).boxes(frame, Working((64, 64), (64, 64)), []).in_working

    given = [[50, 1, 60, 9], [5, 9, 18, 30], [5, 9, 20, 30]]
    assert found("boxes", "motion").tolist() == [*given, [38, 38, 62, 62]]
    assert found("motion", "boxes").tolist() == [[4, 8, 20, 30], [38, 38, 62, 62], *given]


GOOD: dict[str, Any] = {"video": ["a"], "frame": [1], "x1": [0.0], "y1": [0.0], "x2": [2.0], "y2": [2.0]}


def test_integer_boxes_and_dictionary_coded_videos_are_boxes_too(tmp_path: Path) -> None:
    columns = {
        **GOOD,
        "video": pa.array(["a"]).dictionary_encode(),
        "frame": pa.array([1], pa.uint16()),
        "x2": pa.array([2], pa.int32()),
    }
    assert boxes_of(box_file(saved(tmp_path / "boxes.parquet", columns)), "a", 1).tolist() == [[0, 0, 2, 2]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({k: v for k, v in GOOD.items() if k != "x2"}, "no column x2"),
        ({**GOOD, "video": [1]}, "column video is of type int64, it must hold text"),
        ({**GOOD, "frame": [1.5]}, "column frame is of type double, it must hold whole numbers"),
        ({**GOOD, "y1": ["0"]}, "column y1 is of type string, it must hold numbers"),
    ],
)
def test_a_file_without_the_columns_of_boxes_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=f"boxes.parquet: {message}"):
        box_file(saved(tmp_path / "boxes.parquet", columns))


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_missing_or_infinite_coordinate_is_an_error_of_its_video_alone(tmp_path: Path, bad: float | None) -> None:
    columns = {name: values * 2 for name, values in GOOD.items()} | {"video": ["a", "b"], "x1": [0.0, bad]}
    file = box_file(saved(tmp_path / "boxes.parquet", columns))
    assert len(boxes_of(file, "a", 1)) == 1
    with pytest.raises(VideoError, match=r"b: --boxes"):
        boxes_of(file, "b", 1)


def test_a_file_of_boxes_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.parquet"):
        box_file(str(tmp_path / "none.parquet"))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Finds a box around (16, 16) … (32, 32) of a 64 × 64 frame, and a smaller one inside it."""
    pixels = PixelNetwork()
    pixels.cell(1, 1, 1, offset=(0.5, 0.5), classes=(1.0, 0.0))
    pixels.cell(0, 3, 3, classes=(0.0, 1.0))
    path = tmp_path / "pixels.onnx"
    path.write_bytes(pixels.to_bytes())
    return path


def detector(path: Path, **changes: Any) -> DetectorConfig:
    return DetectorConfig(**{"kinds": ("onnx", "motion"), "model": str(path), "min_area": 10.0, **changes})


def test_a_detectors_settings_get_the_hash_of_its_file(network: Path) -> None:
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    resolved = resolve_detector(detector(network))
    assert resolved.model_sha256 == digest
    assert resolve_detector(resolved) == resolved


def test_settings_without_a_network_have_no_hash() -> None:
    assert resolve_detector(DetectorConfig(kinds=("motion",))).model_sha256 == ""


def test_another_file_than_the_one_used_before_is_refused(network: Path) -> None:
    resolved = resolve_detector(detector(network))
    network.write_bytes(PixelNetwork().to_bytes())
    with pytest.raises(MismatchError, match=r"pixels\.onnx has SHA-256 .* was used before"):
        resolve_detector(resolved)
    with pytest.raises(MismatchError, match=r"pixels\.onnx"):
        BoxFinder(ExtractionConfig(detector=resolved))


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.onnx"):
        resolve_detector(detector(tmp_path / "none.onnx"))


def test_a_kind_with_a_network_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"detector\.model"):
        DetectorConfig(kinds=("onnx",))


def test_detected_boxes_come_first_and_motion_only_outside_them(network: Path) -> None:
    moved = np.zeros((64, 64), np.uint8)
    moved[18:30, 18:30] = 200  # inside the detected box
    moved[40:60, 40:60] = 200
    motion = MotionConfig(blur=3, threshold=18, min_area=100)
    both = BoxFinder(ExtractionConfig(detector=detector(network), motion=motion))
    assert both.needs_neighbours
    frame = FrameContext(video="v", index=9, image=BLACK, neighbours=neighbours(moved))
    found = both.boxes(frame, UNSCALED, both.detections(frame))
    assert found.in_source == pytest.approx(np.array([[16, 16, 32, 32], [38, 38, 62, 62]]), abs=1e-4)
    alone = BoxFinder(ExtractionConfig(detector=detector(network, kinds=("onnx",)), motion=motion))
    assert not alone.needs_neighbours
    found = alone.boxes(frame, UNSCALED, alone.detections(frame))
    assert found.in_source == pytest.approx(np.array([[16, 16, 32, 32]]), abs=1e-4)


def test_a_detected_box_has_a_class_and_its_score_and_a_moving_one_has_none(network: Path) -> None:
    moved = np.zeros((64, 64), np.uint8)
    moved[40:60, 40:60] = 200
    finder = BoxFinder(ExtractionConfig(detector=detector(network, overlap=1.0)))
    frame = FrameContext(video="v", index=9, image=BLACK, neighbours=neighbours(moved))
    found = finder.boxes(frame, UNSCALED, finder.detections(frame))
    assert found.classes.tolist() == [0, 1, -1]
    assert found.class_scores.tolist() == [1, 1, 0]
    assert (found.classes.dtype, found.class_scores.dtype) == (np.int32, np.float32)


def test_the_settings_that_a_detector_takes_are_those_that_its_entry_names() -> None:
    assert {name: entry.settings for name, entry in DETECTORS.items()} == {
        name: entry.load().Settings for name, entry in DETECTORS.items()
    }


def test_a_command_line_knows_the_settings_of_detectors_without_what_runs_them() -> None:
    code = "import sys, hf2vad.cubes.settings; print(*({'cv2', 'numpy', 'pyarrow', 's3fs'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
