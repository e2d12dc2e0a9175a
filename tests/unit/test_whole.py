"""Whole objects on screen, moving previews, and the boxes over the player."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from hf2vad.evidence.objects import Objects
from hf2vad.evidence.preview import PICTURES, WIDTH
from hf2vad.evidence.whole import overlaps, whole_boxes, whole_of
from hf2vad.report.site.boxes import MOST, player_boxes
from hf2vad.report.site.tables import Scored
from hf2vad.schema import BOX, F32, OBJECTS, U8
from hf2vad.tables.read import VideoTables, scored_videos
from tests.evidence import VIDEOS, clip_frames, folder_of, row_of
from tests.evidence import Scored as Archive
from tests.review import BUNDLE, Bump, put_video

Corners = tuple[float, float, float, float]
BODY: Corners = (20, 40, 80, 80)
PILLAR: Corners = (60, 10, 85, 45)


def objects(*frames: list[tuple[Corners, float]]) -> Objects:
    """A frame for each list of boxes with their speeds."""
    rows = [
        {**dict.fromkeys(OBJECTS.names, 0.0), "video": "v", "frame": number, "speed": speed}
        | dict(zip(BOX, map(float, box), strict=True))
        for number, boxes in enumerate(frames)
        for box, speed in boxes
    ]
    table = pa.Table.from_pylist([{**row, "class": None, "class_score": None} for row in rows], OBJECTS)
    boxes = np.array([[row[name] for name in BOX] for row in rows], np.float32).reshape(-1, 4)
    return Objects(table["frame"].to_numpy(), boxes, table)


def moved(box: Corners, by: float) -> Corners:
    return (box[0] + by, box[1], box[2] + by, box[3])


def whole(*frames: list[tuple[Corners, float]]) -> set[Corners]:
    """The boxes that are drawn in the last of these frames."""
    found = whole_boxes(objects(*frames), len(frames) - 1)
    return {(a, b, c, d) for a, b, c, d in found.tolist()}


def test_parts_of_a_thing_that_touch_and_move_alike_are_drawn_as_one() -> None:
    before, now = ([(BODY, 3.0), (PILLAR, 2.5)], [(moved(BODY, 3), 3.0), (moved(PILLAR, 3), 2.5)])
    assert whole(before, now) == {(23, 10, 88, 80)}
    assert whole([(BODY, 3.0), (PILLAR, 2.5)]) == {(20, 10, 85, 80)}, "also in a first frame"
    row = {"frame": 0} | dict(zip(BOX, PILLAR, strict=True))
    assert whole_of(objects([(BODY, 3.0), (PILLAR, 2.5)]), row) == [20, 10, 85, 80]


@pytest.mark.parametrize(
    ("other", "speed", "why"),
    [
        ((200, 10, 220, 80), 3.0, "far away"),
        (PILLAR, 9.0, "three times as fast"),
        ((75, 35, 85, 160), 3.0, "they would leave most of a box around both empty"),
    ],
)
def test_what_is_apart_moves_otherwise_or_lies_across_stays_apart(other: Corners, speed: float, why: str) -> None:
    assert whole([(BODY, 3.0), (other, speed)]) == {BODY, other}, why


def test_things_that_go_opposite_ways_stay_apart() -> None:
    before = [(moved(BODY, -5), 4.0), (moved(PILLAR, 5), 4.0)]
    assert whole(before, [(BODY, 4.0), (PILLAR, 4.0)]) == {BODY, PILLAR}


def test_two_people_side_by_side_are_two() -> None:
    left, right = (10.0, 10.0, 30.0, 70.0), (29.0, 12.0, 50.0, 72.0)
    assert whole([(left, 2.0), (right, 2.0)]) == {left, right}


def test_overlap_is_intersection_over_union() -> None:
    boxes: F32 = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]], np.float32)
    np.testing.assert_allclose(overlaps(boxes[:1], boxes)[0], [1, 1 / 3, 0])


def frames_of(path: Path) -> tuple[list[U8], list[int]]:
    """BGR pictures of a WebP, and for how many milliseconds each is shown."""
    image = Image.open(io.BytesIO(path.read_bytes()))
    pictures, durations = [], []
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        pictures.append(np.asarray(image.convert("RGB"), np.uint8)[..., ::-1])
        image.load()
        durations.append(int(image.info["duration"]))
    return pictures, durations


def test_a_preview_loops_two_seconds_around_the_peak_with_the_object_marked(
    scored: Archive, evidence_site: Path
) -> None:
    row, path = row_of(evidence_site), folder_of(evidence_site) / "preview.webp"
    pictures, durations = frames_of(path)
    assert path.stat().st_size < 100_000
    assert 2 <= len(pictures) <= PICTURES + 1
    assert pictures[0].shape[1] <= WIDTH
    assert 1500 < sum(durations) < 2600
    source = clip_frames(scored.archive / VIDEOS[0])
    near = [
        min(range(len(source)), key=lambda i: float(np.abs(source[i].astype(int) - one).mean())) for one in pictures
    ]
    assert near == sorted(near)
    assert row["frame"] in near
    x1, y1, _, y2 = (round(corner) for corner in row["whole"])
    edge = pictures[near.index(row["frame"])][y1 + 3 : y2 - 3, max(0, x1) : x1 + 2]
    assert np.abs(edge.astype(int) - (26, 122, 255)).mean() < 60, "orange, as far as WebP keeps it"


def test_what_is_hidden_in_pictures_is_hidden_in_previews(scored: Archive, evidence_site: Path, tmp_path: Path) -> None:
    from hf2vad.runs.evidence import gather_evidence

    gather_evidence(scored.job(tmp_path, events=1, pixelate="people"))
    (path,) = tmp_path.glob("events/*/preview.webp")
    hidden, _ = frames_of(path)
    plain, _ = frames_of(evidence_site / "events" / path.parent.name / "preview.webp")
    assert len(hidden) == len(plain)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(hidden, plain, strict=True)) > 0.5
    off = scored.job(tmp_path / "off", previews=False)
    gather_evidence(off)
    assert not list((tmp_path / "off").rglob("*.webp"))


def tables_of(folder: Path, video: str, **settings: object) -> VideoTables:
    prefix = folder / f"bundle={BUNDLE}"
    put_video(prefix, video, **settings)  # type: ignore[arg-type]
    (tables,) = scored_videos(str(prefix))
    return tables


def test_the_player_gets_each_object_with_its_score(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, "a.mp4", bumps=[Bump(20, 31, 9.0), Bump(70, 81, 7.0)])
    found = player_boxes(Scored.read(tables), tables)
    assert found == {
        "size": [64, 48], "times": [1.0, 3.0],
        "rows": [[[10, 8, 30, 40, 9.0]], [[10, 8, 30, 40, 7.0]]],
    }  # fmt: skip


def test_of_many_boxes_those_of_events_are_kept_first(tmp_path: Path) -> None:
    bumps = [Bump(10 * n, 10 * n + 5, 9.0) for n in range(1, MOST + 500)]
    tables = tables_of(tmp_path, "busy.mp4", frames=10 * (MOST + 600), bumps=bumps)
    found = player_boxes(Scored.read(tables), tables)
    assert found is not None
    assert MOST / 2 <= sum(map(len, found["rows"])) <= MOST
    assert found["times"] == sorted(found["times"])


def test_without_a_table_of_objects_there_are_no_boxes(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, "a.mp4", bumps=[Bump(20, 31, 9.0)])
    Path(tables.uri("objects")).unlink()
    assert player_boxes(Scored.read(tables), tables) is None
