"""Extraction of frames that are damaged, few, tiny, of odd size, or of another size than those before."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.cubes.extract import Extractor
from hf2vad.errors import VideoError
from tests.moving import BOXES, MOTION, WIDTH, content, extract, only_video, scene, write_video


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 20 images whose number 12 is damaged."""
    folder = tmp_path / "walk"
    folder.mkdir()
    for t, image in enumerate(scene(20)):
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    (folder / "012.png").write_bytes(b"damaged")
    return folder


@pytest.mark.parametrize("length", [1, 3, 5, 100])
def test_frames_that_need_an_undecodable_one_are_undecodable(images: Path, length: int) -> None:
    batches = extract(only_video(images), length, Extractor(MOTION))
    expected = ["no_context"] * 4 + ["scored"] * 8 + ["undecodable"] * 5 + ["scored"] * 3
    assert [b.status for b in batches] == expected
    assert content(batches) == content(extract(only_video(images), 20, Extractor(MOTION)))


def test_an_undecodable_next_frame_counts_as_absent(images: Path, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    ends.mkdir()
    for t in range(12):
        (ends / f"{t:03d}.png").write_bytes((images / f"{t:03d}.png").read_bytes())
    damaged = extract(only_video(images), 100, Extractor(MOTION))[11]
    last = extract(only_video(ends), 100, Extractor(MOTION))[11]
    assert len(last)
    assert content([damaged]) == content([last])


def test_a_video_shorter_than_a_cube_has_no_context(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", scene(3))
    assert [b.status for b in extract(only_video(tmp_path), 10, Extractor(MOTION))] == ["no_context"] * 3


@pytest.mark.parametrize(("width", "height"), [(16, 12), (5, 9), (4, 400), (641, 359)])
def test_frames_of_odd_and_tiny_sizes_are_extracted(tmp_path: Path, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    for t in range(7):
        cv2.imwrite(str(tmp_path / f"{t}.png"), rng.integers(0, 256, (height, width, 3), np.uint8))
    pq.write_table(
        pa.table({"video": [tmp_path.name], "frame": [5], "x1": [0.0], "y1": [0.0], "x2": [900.0], "y2": [900.0]}),
        tmp_path / "boxes.parquet",
    )
    batches = extract(only_video(tmp_path), 3, Extractor(BOXES, str(tmp_path / "boxes.parquet")))
    assert [b.status for b in batches] == ["no_context"] * 4 + ["scored"] * 3
    assert len(batches[5]) == 1
    assert np.isfinite(batches[5].flow.astype(np.float32)).all()


def test_a_video_too_small_for_flow_is_an_error_that_names_it_and_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "pixels"
    folder.mkdir()
    for t in range(6):
        cv2.imwrite(str(folder / f"{t}.png"), np.full((3, 3, 3), t, np.uint8))
    with pytest.raises(VideoError, match=r"pixels: frames of 3×3 are too small"):
        extract(only_video(folder), 10, Extractor(MOTION))


@pytest.mark.parametrize("length", [100, 7, 1])
def test_no_cube_spans_a_change_of_size_and_boxes_are_in_pixels_of_their_own_picture(
    tmp_path: Path, length: int
) -> None:
    for t, image in enumerate(scene(20)):
        cv2.imwrite(str(tmp_path / f"{t}.png"), image if t < 10 else cv2.resize(image, None, fx=2, fy=2))
    batches = extract(only_video(tmp_path), length, Extractor(MOTION))
    assert [batch.status for batch in batches] == (["no_context"] * 4 + ["scored"] * 6) * 2
    small, large = (np.concatenate([batch.boxes for batch in part]) for part in (batches[4:9], batches[14:]))
    assert small[:, 2].max() <= WIDTH < large[:, 2].max()
