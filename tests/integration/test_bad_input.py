"""An archive as archives are: damaged files beside good ones, and names that nobody would choose."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.site import Site, last_run, run_job

ODD_NAME = 'it\'s a "test" – ünïcode 名 100% {x}.mp4'


def reencode(source: Path, target: Path, codec: str, *, size: tuple[int, int] | None = None, frames: int = 60) -> None:
    """The first frames of a clip in another codec, container or size."""
    pixels = {"mjpeg": "yuvj444p", "mpeg4": "yuv420p", "libx264": "yuv420p"}[codec]
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream(codec, rate=12, options={"g": "12"})
        stream.pix_fmt, stream.bit_rate = pixels, 2_000_000
        stream.width, stream.height = size or (320, 240)
        for number, frame in enumerate(read.decode(video=0)):
            if number == frames:
                break
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (stream.width, stream.height))
            written.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        written.mux(stream.encode(None))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.fixture(scope="module")
def archive(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of every trouble, and three good videos."""
    folder = tmp_path_factory.mktemp("troubled")
    clip = site.test / "01_runner.mp4"
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is not a video.\n" * 200)
    reencode(clip, folder / "half.avi", "mpeg4")
    halve(folder / "half.avi")
    shutil.copy(clip, folder / "half.mp4")
    halve(folder / "half.mp4")
    reencode(clip, folder / "three.mp4", "libx264", frames=3)
    reencode(clip, folder / "odd.avi", "mjpeg", size=(641, 359), frames=20)
    shutil.copy(clip, folder / ODD_NAME)
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    mixed = folder / "mixed sizes"
    mixed.mkdir()
    for number in range(12):
        side = 64 if number < 8 else 80
        image = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
        cv2.imwrite(str(mixed / f"{number}.png"), image)
    (folder / "notes.txt").write_text("not a video, and not named like one")
    return folder


FAILING = {
    "empty.mp4": "empty file",
    "text.mp4": "not a readable video",
    "half.avi": "those were scored",
    "half.mp4": "not a readable video",
    "three.mp4": "3 frames, a cube needs 5",
    "gone.mp4": "No such file",
}
"""Videos that end with a failure row, and what it says."""


@pytest.fixture(scope="module")
def scored(site: Site, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tables of that archive are; the job said with its exit code that not all went well."""
    out = tmp_path_factory.mktemp("scores")
    run_job("score_archive", "--archive", archive, "--bundle", site.bundle, "--out", out, expect=3)
    (found,) = out.glob("bundle=*")
    return found


def rows(scored: Path, video: str) -> list[dict[str, object]]:
    for path in (scored / "frames").glob("*.parquet"):
        table = pq.read_table(path)
        if table["video"][0].as_py() == video:
            found: list[dict[str, object]] = table.to_pylist()
            return found
    raise AssertionError(f"no frame table of {video}")


def test_each_troubled_video_has_one_failure_row_that_says_why(scored: Path) -> None:
    failures = [json.loads(path.read_text()) for path in (scored / "failures").iterdir()]
    assert sorted(failure["video"] for failure in failures) == sorted(FAILING)
    for failure in failures:
        assert FAILING[failure["video"]].lower() in failure["reason"].lower()


def test_the_good_videos_beside_them_are_scored(scored: Path) -> None:
    for video, frames in ((ODD_NAME, 60), ("odd.avi", 20)):
        found = rows(scored, video)
        assert [row["frame"] for row in found] == list(range(frames))
        assert [row["score"] is None for row in found] == [True] * 4 + [False] * (frames - 4)


def test_images_that_change_in_size_are_scored_at_their_own_and_health_says_so(scored: Path) -> None:
    assert [row["score"] is None for row in rows(scored, "mixed sizes")] == [True] * 4 + [False] * 4 + [True] * 4
    health = pq.read_table(scored / "health" / "mixed sizes.parquet").to_pylist()
    assert [(row["start_frame"], row["value"]) for row in health if row["kind"] == "resized"] == [(8, 80.0)]
    metadata = pq.read_schema(scored / "frames" / "mixed sizes.parquet").metadata
    assert json.loads(metadata[b"hf2vad.sizes"]) == [[0, 64, 64], [8, 80, 80]]


def test_what_is_no_video_is_counted_and_named(scored: Path) -> None:
    assert last_run(scored.parent)["passed_over"] == [
        {"ending": ".txt", "why": "not a video", "count": 1, "names": ["notes.txt"]}
    ]


def test_a_truncated_video_is_scored_as_far_as_it_goes(scored: Path) -> None:
    found = rows(scored, "half.avi")
    assert 20 < len(found) <= 60
    assert sum(row["score"] is not None for row in found) > 16


def test_frames_of_a_video_that_is_too_short_have_rows_without_a_score(scored: Path) -> None:
    assert [row["score"] for row in rows(scored, "three.mp4")] == [None] * 3


def test_the_run_counts_its_failures(scored: Path) -> None:
    record = last_run(scored.parent)
    assert (record["videos"], record["failures"]) == (9, len(FAILING))


def test_nothing_is_written_outside_the_bundles_prefix(scored: Path) -> None:
    assert {path.name for path in scored.parent.iterdir()} == {scored.name, "runs"}


def test_failures_are_tried_again_and_counted_in_the_next_run(site: Site, archive: Path, scored: Path) -> None:
    out = scored.parent
    run_job("score_archive", "--archive", archive, "--bundle", site.bundle, "--out", out, expect=3)
    again = [json.loads(path.read_text()) for path in (scored / "failures").iterdir()]
    runs = {failure["video"]: failure["runs"] for failure in again}
    assert runs["text.mp4"] == 2
    assert last_run(out)["failures"] == len(FAILING)


def test_a_mended_video_loses_its_failure_row(site: Site, tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    (archive / "a.mp4").write_text("not yet a video")
    arguments = ("--archive", archive, "--bundle", site.bundle, "--out", out)
    run_job("score_archive", *arguments, expect=3)
    shutil.copy(site.test / "01_runner.mp4", archive / "a.mp4")
    run_job("score_archive", *arguments)
    (bundle,) = out.glob("bundle=*")
    assert list((bundle / "failures").iterdir()) == []
    assert len(rows(bundle, "a.mp4")) == 60


def test_extraction_leaves_the_same_videos_out(archive: Path, tmp_path: Path) -> None:
    run_job("extract_stc", "--archive", archive, "--out", tmp_path, "--dataset", "troubled", expect=3)
    failures = {json.loads(path.read_text())["video"] for path in (tmp_path / "failures").iterdir()}
    assert failures == set(FAILING) - {"three.mp4"}
    tables = {path.parent.name for path in (tmp_path / "stc" / "troubled").rglob("*.parquet")}
    assert {"half.avi", "odd.avi"} < tables
