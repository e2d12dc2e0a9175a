"""The page with curves and top events."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hf2vad.demo.archive import generate
from hf2vad.errors import EvaluationError
from hf2vad.report.page import MOST_POINTS, clock, write_report
from hf2vad.schema import EVENTS, FRAMES_TABLE, LABELS, pack_metadata
from hf2vad.storage import key_path, put_table

NASTY = "<script>alert('1')</script> & co.mp4"
BOX = (40.0, 60.0, 90.0, 160.0)


def put_scores(prefix: Path, video: str, *, frames: int, peak: int | None) -> None:
    """Tables of a video whose score is 1 but for a bump of 9 at `peak`, which is an event."""
    score = np.ones(frames)
    score[:4] = np.nan
    if peak is not None:
        score[peak - 2 : peak + 3] = 9.0
    metadata = {"video": video, "bundle": "0123456789abcdef", "thresholds": [5.0, 4.0]}
    columns = {name: pa.nulls(frames, FRAMES_TABLE.field(name).type) for name in FRAMES_TABLE.names}
    columns |= {
        "video": pa.array([video] * frames),
        "frame": pa.array(np.arange(frames, dtype=np.int32)),
        "pts_s": pa.array(np.arange(frames) / 12.5),
        "score_raw": pa.array(score, mask=np.isnan(score)),
        "score": pa.array(score, mask=np.isnan(score)),
        "n_objects": pa.array(np.zeros(frames, np.int32)),
    }
    rows = []
    if peak is not None:
        row = {"video": video, "event": 0, "start_frame": peak - 2, "end_frame": peak + 2, "peak_frame": peak}
        row |= {"start_s": (peak - 2) / 12.5, "end_s": (peak + 2) / 12.5, "peak_s": peak / 12.5, "peak_score": 9.0}
        rows.append(row | dict(zip(("x1", "y1", "x2", "y2"), BOX, strict=True)))
    for name, table in (
        ("frames", pa.table(columns, FRAMES_TABLE)),
        ("events", pa.Table.from_pylist(rows, EVENTS)),
    ):
        uri = prefix / name / (key_path(video) + ".parquet")
        put_table(str(uri), table.replace_schema_metadata(pack_metadata(name, metadata)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An archive of two videos, one with a hostile name, and their scores."""
    folder = tmp_path_factory.mktemp("site")
    made = generate(folder / "archive", train_clips=0, test_clips=1, frames=30)
    archive = folder / "videos"
    archive.mkdir()
    (archive / "street").mkdir()
    shutil.copy(made.test / "01_runner.mp4", archive / "street" / "a.mp4")
    shutil.copy(made.test / "01_runner.mp4", archive / NASTY.replace("/", "_"))
    prefix = folder / "bundle=0123456789abcdef"
    put_scores(prefix, NASTY.replace("/", "_"), frames=30, peak=20)
    put_scores(prefix, "street/a.mp4", frames=30, peak=None)
    put_scores(prefix, "deleted since.mp4", frames=30, peak=10)
    return archive, prefix


def write(site: tuple[Path, Path], out: Path, labels: str = "") -> str:
    archive, prefix = site
    page = write_report(str(out), scores_uri=str(prefix), archive_uri=str(archive), labels_uri=labels, title="A & B")
    assert (page.videos, page.events) == (3, 2)
    return Path(page.index).read_text()


def test_every_video_and_event_is_on_the_page(site: tuple[Path, Path], tmp_path: Path) -> None:
    html = write(site, tmp_path)
    assert "<h3>street/a.mp4</h3>" in html
    assert html.count('class="plotly-graph-div"') == 3
    assert "0:00:01.4 to 0:00:01.8" in html
    assert "3 videos, 2 events, bundle 0123456789abcdef" in html


def test_names_are_shown_and_not_run(site: tuple[Path, Path], tmp_path: Path) -> None:
    html = write(site, tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "<title>A &amp; B</title>" in html


def test_the_peak_frame_is_shown_with_its_box(site: tuple[Path, Path], tmp_path: Path) -> None:
    html = write(site, tmp_path)
    (name,) = re.findall(r'<img src="([^"]+)"', html)
    image = cv2.imread(str(tmp_path / name))
    assert image.shape == (480, 640, 3)
    x1, y1, x2, _ = (round(2 * value) for value in BOX)
    edge = image[y1, x1 + 5 : x2 - 5].astype(int).mean(axis=0)
    assert np.abs(edge - (12, 89, 232)).max() < 60, "the box is not there"


def test_a_video_that_the_archive_lost_is_told_without_a_picture(site: tuple[Path, Path], tmp_path: Path) -> None:
    assert "does not have this video" in write(site, tmp_path)


def test_labels_are_shaded_where_they_are_given(site: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [{"video": "street/a.mp4", "frame": i, "anomalous": 5 <= i < 9} for i in range(30)]
    put_table(str(tmp_path / "labels.parquet"), pa.Table.from_pylist(rows, LABELS))
    without = write(site, tmp_path / "without")
    shaded = write(site, tmp_path / "with", str(tmp_path / "labels.parquet"))
    assert shaded.count('"#1c7ed6"') == without.count('"#1c7ed6"') + 1
    assert "labelled as anomalous" in shaded
    assert "labelled as anomalous" not in without


def test_the_page_loads_nothing_from_elsewhere(site: tuple[Path, Path], tmp_path: Path) -> None:
    html = write(site, tmp_path)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert loaded
    for target in loaded:
        assert target.startswith("data:") or (tmp_path / target).is_file(), target


def test_a_long_video_keeps_its_peaks_in_few_points(tmp_path: Path) -> None:
    prefix = tmp_path / "bundle=x"
    put_scores(prefix, "long.mp4", frames=9000, peak=4567)
    page = write_report(str(tmp_path / "out"), scores_uri=str(prefix), archive_uri=str(tmp_path))
    html = Path(page.index).read_text()
    (values,) = re.findall(r'"y":\[((?:null|[\d.]+)[^\]]*)\],"type":"scatter"', html)
    numbers = [value for value in values.split(",") if value != "null"]
    assert 500 < len(numbers) <= MOST_POINTS
    assert max(map(float, numbers)) == 9.0


def test_scores_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no frame table"):
        write_report(str(tmp_path), scores_uri=str(tmp_path / "bundle=x"), archive_uri=str(tmp_path))


def test_times_are_read_as_a_clock() -> None:
    assert clock(0.0) == "0:00:00.0"
    assert clock(3725.46) == "1:02:05.5"
    assert clock(59.96) == "0:01:00.0"
