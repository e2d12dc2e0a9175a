"""Zones: which boxes they drop, what they do to states and hashes, and what they leave as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.catalog import Video
from hf2vad.archive.zone_map import EVERY_CAMERA, WHOLE_PICTURES, Zones
from hf2vad.archive.zones import NO_ZONES, CameraZones, Kind, Zone, feet_of
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig, FlowConfig
from hf2vad.errors import ConfigError
from hf2vad.hashes import hash_of
from hf2vad.tables.layout import CubeLayout, RunLayout, ScoreLayout
from tests.moving import AROUND, COUNT, HEIGHT, MOTION, MOVING, WIDTH, content, extract, only_video, scene, write_video

LOWER = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
SIZE = (100, 80)


def zones(*drawn: tuple[Kind, Any]) -> CameraZones:
    return CameraZones(tuple(sorted(Zone(kind, points) for kind, points in drawn)))


def video(path: str, source: str = "") -> Video:
    return Video(f"{source}/{path}" if source else path, f"/archive/{path}", "file", "f" * 16, 1, source=source)


def standing(x: float, y: float, height: float = 30) -> list[float]:
    """A box whose foot is at (x, y), in pixels."""
    return [x - 5, y - height, x + 5, y]


def test_the_foot_of_a_box_decides_and_not_its_centre() -> None:
    boxes = np.array([standing(50, 60), standing(50, 39)], np.float32)
    assert boxes[0, 1] < 40, "the head of the first is in the upper half"
    assert zones(("ignore", LOWER)).keeps(boxes, SIZE).tolist() == [False, True]
    assert zones(("watch", LOWER)).keeps(boxes, SIZE).tolist() == [True, False]


def test_a_zone_up_to_the_edge_of_the_picture_holds_what_stands_on_the_edge() -> None:
    boxes = np.array([standing(100, 80), standing(0, 80), [90, 60, 130, 200]], np.float32)
    assert not zones(("ignore", LOWER)).keeps(boxes, SIZE).any()


def test_zones_to_ignore_rule_over_zones_to_watch_and_several_of_a_kind_add_up() -> None:
    boxes = np.array([standing(x, y) for x in (25, 75) for y in (35, 75)], np.float32)
    both = zones(("watch", LEFT), ("ignore", LOWER))
    assert both.keeps(boxes, SIZE).tolist() == [True, False, False, False]
    right = tuple((1 - x, y) for x, y in LEFT)
    assert zones(("watch", LEFT), ("watch", right)).keeps(boxes, SIZE).all()
    assert not zones(("ignore", LEFT), ("ignore", right)).keeps(boxes, SIZE).any()


def test_without_zones_every_box_stays() -> None:
    assert NO_ZONES.keeps(np.zeros((3, 4), np.float32), SIZE).tolist() == [True] * 3
    assert zones(("watch", LEFT)).keeps(np.empty((0, 4), np.float32), SIZE).tolist() == []


def test_each_box_is_measured_by_the_size_of_its_own_picture() -> None:
    boxes = np.array([standing(30, 30), standing(30, 30)], np.float32)
    assert zones(("ignore", LOWER)).keeps(boxes, [(100, 80), (50, 40)]).tolist() == [True, False]


def test_where_edges_cross_the_inside_alternates() -> None:
    bow = Zone("ignore", ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
    points = np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]])
    assert bow.holds(points).tolist() == [True, True, False, False]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_a_triangle_holds_what_lies_between_its_corners(
    corners: list[tuple[float, float]], weights: list[float]
) -> None:
    (x1, y1), (x2, y2), (x3, y3) = corners
    area = abs((x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1))
    if area < 1e-3:
        return
    inside = np.average(corners, axis=0, weights=weights)
    mirrored = 2 * np.array(corners[0]) - inside
    held = Zone("ignore", tuple(corners)).holds(np.stack([inside, mirrored]))
    assert held.tolist() == [True, False]


def test_an_edge_of_hardly_any_height_divides_by_nothing() -> None:
    zone = Zone("ignore", ((0.0, 1.0), (0.0, 2.2e-311), (1.0, 0.0)))
    assert zone.holds(np.array([[0.3, 0.3], [0.8, 0.8]])).tolist() == [True, False]


def test_feet_are_shares_of_the_picture() -> None:
    assert feet_of(np.array([[10, 0, 30, 40.5]], np.float32), SIZE).tolist() == [[0.2, 0.5]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("a zone", "not a zone"),
        ({"kind": "ignore"}, "not a zone"),
        ({"kind": "mask", "points": []}, "kind must be ignore or watch, got 'mask'"),
        ({"kind": "watch", "points": {}}, "points must be a list"),
        ({"kind": "watch", "points": [[0, 0], [1, 1]]}, "a zone has 3 to 200 points, got 2"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], [1]]}, "zone 1, point 3: must be two numbers"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], ["1", 0]]}, "must be two numbers"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], [True, 0]]}, "must be two numbers"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], [640, 0]]}, "lies outside 0 to 1; give fractions"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], [float("nan"), 0]]}, "lies outside 0 to 1"),
        ({"kind": "watch", "points": [[0, 0], [1, 1], [10**400, 0]]}, "lies outside 0 to 1"),
        ({"kind": "watch", "points": [[0, 0], [0.5, 0.5], [1, 1]]}, "its points lie on one line"),
    ],
)
def test_a_zone_that_is_none_is_refused_with_its_camera_and_number(values: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Zones.from_json({"hf2vad.zones": 1, "cameras": {"gate": [values]}}, where="z.json")
    assert str(caught.value).startswith("z.json: gate, zone 1")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "not a file of zones"),
        (b'{"hf2vad.marks": 1}', "not a file of zones"),
        (b'{"hf2vad.zones": 1}', "cameras an object"),
        (b'{"hf2vad.zones": 1, "cameras": {"gate": {}}}', "must be a list of zones"),
        (b'{"hf2vad.zones": 1, "pattern": "{camera", "cameras": {}}', "a right one is"),
    ],
)
def test_a_file_that_holds_no_zones_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Zones.parse(data, where="z.json")


def test_zones_are_the_same_after_a_file() -> None:
    drawn = Zones("{camera}/*", {"gate": zones(("ignore", LOWER), ("watch", LEFT))})
    assert Zones.parse(json.dumps(drawn.to_json()).encode(), where="file") == drawn


def test_the_file_in_the_docs_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data-format.md").read_text()
    example = page.partition("## Zones")[2].split("```")[1].removeprefix("text")
    assert list(Zones.parse(example.encode(), where="docs").cameras) == ["*", "gate"]


def test_a_camera_is_named_as_the_site_names_it() -> None:
    own, all_cameras = zones(("ignore", LOWER)), zones(("ignore", LEFT))
    drawn = Zones("", {"gate": own, "north/yard": own})
    assert drawn.of(video("gate/a.mp4")) == own
    assert drawn.of(video("yard/a.mp4")) == NO_ZONES
    assert drawn.of(video("yard/a.mp4", "north")) == own
    assert Zones("", {"front": own}).of(video("2026-11-24/22/front/15.00.mp4")) == own, "a recorder's path"
    assert Zones("*_{camera}.mp4", {"gate": own}).of(video("07_gate.mp4")) == own
    everywhere = Zones("", {"gate": own, EVERY_CAMERA: all_cameras})
    assert everywhere.of(video("yard/a.mp4")) == all_cameras
    assert everywhere.of(video("gate/a.mp4")) == zones(("ignore", LOWER), ("ignore", LEFT))


def test_zones_narrow_what_there_was_unless_they_let_more_through() -> None:
    ignore, watch = zones(("ignore", LEFT)), zones(("watch", LOWER))
    both = zones(("ignore", LEFT), ("watch", LOWER))
    for after, before in ((ignore, NO_ZONES), (watch, NO_ZONES), (both, ignore), (both, watch), (both, both)):
        assert after.narrows(before)
    for after, before in ((NO_ZONES, ignore), (ignore, both), (watch, zones(("watch", LEFT))), (watch, ignore)):
        assert not after.narrows(before)
    wider = zones(("watch", LOWER), ("watch", LEFT))
    assert not wider.narrows(watch), "what lies in the new zone was not scored"


def scores(drawn: Zones) -> ScoreLayout:
    return ScoreLayout(prefix="p", bundle="b", engine="eager", plan="plan", scores="same", final="final", zones=drawn)


def cubes(drawn: Zones) -> CubeLayout:
    return CubeLayout(prefix="p", dataset="d", plan="plan", final="plan", extraction={}, left_out=None, zones=drawn)


@pytest.mark.parametrize("make", [scores, cubes])
def test_only_videos_of_cameras_with_zones_have_other_states(make: Any) -> None:
    before: RunLayout = make(WHOLE_PICTURES)
    after: RunLayout = make(Zones("", {"gate": zones(("ignore", LOWER))}))
    gate, yard = video("gate/a.mp4"), video("yard/a.mp4")
    assert after.state(yard) == before.state(yard)
    assert after.shard_state(yard) == before.shard_state(yard)
    assert after.final_metadata(yard, (0, 9), complete=True) == before.final_metadata(yard, (0, 9), complete=True)
    assert after.state(gate) != before.state(gate)
    assert after.shard_state(gate) != before.shard_state(gate)
    assert after.metadata(gate, (0, 9))["zones"] == zones(("ignore", LOWER)).to_json()
    moved: RunLayout = make(Zones("", {"gate": zones(("ignore", LEFT))}))
    assert moved.state(gate) not in (before.state(gate), after.state(gate))


def test_empty_zones_leave_every_hash_as_it_is() -> None:
    assert scores(WHOLE_PICTURES).state(video("gate/a.mp4")) == hash_of("f" * 16, "final")
    assert scores(WHOLE_PICTURES).shard_state(video("gate/a.mp4")) == hash_of("f" * 16, "plan")
    empty = Zones.from_json({"hf2vad.zones": 1, "cameras": {"gate": []}}, where="file")
    assert empty == WHOLE_PICTURES
    assert empty.key == ""
    assert list(scores(empty).metadata(video("gate/a.mp4"), (0, 9)))[-2:] == ["plan", "engine"]


def test_the_order_in_which_zones_were_drawn_does_not_count() -> None:
    one, other = ({"kind": "ignore", "points": [list(p) for p in points]} for points in (LOWER, LEFT))
    forth, back = (CameraZones.parse(values, where="") for values in ([one, other], [other, one, other]))
    assert forth.key == back.key != ""


def test_cameras_that_no_archive_has_are_named_with_those_there(tmp_path: Path) -> None:
    for camera in ("gate", "yard"):
        (tmp_path / camera).mkdir()
        (tmp_path / camera / "a.mp4").write_bytes(b"")
    drawn = zones(("ignore", LOWER))
    for pattern in ("", "{camera}/*"):
        Zones(pattern, {"yard": drawn, EVERY_CAMERA: drawn}).check_cameras([ArchiveRef("", str(tmp_path))])
        with pytest.raises(ConfigError, match=r"--zones: gaet: no such camera in .*; there are gate, yard: rename"):
            Zones(pattern, {"gaet": drawn, "gate": drawn}).check_cameras([ArchiveRef("", str(tmp_path))])
        named = [ArchiveRef("north", str(tmp_path)), ArchiveRef("south", str(tmp_path))]
        Zones(pattern, {"north/gate": drawn, "south/yard": drawn}).check_cameras(named)
        with pytest.raises(ConfigError, match="there are north/gate, north/yard, south/gate, south/yard"):
            Zones(pattern, {"gate": drawn}).check_cameras(named)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("archive")
    write_video(folder / "clip.mp4", scene(COUNT))
    return only_video(folder)


@pytest.mark.parametrize("flow", [FlowConfig(), AROUND, MOVING], ids=["frame", "boxes", "moving"])
def test_a_zone_drops_cubes_and_changes_none_of_the_others(clip: Video, flow: FlowConfig) -> None:
    """One thing crosses the upper half of the picture, one the lower."""
    extractor = Extractor(ExtractionConfig(motion=MOTION.motion, flow=flow))
    drawn = zones(("ignore", LOWER))
    whole, fewer = (extract(clip, 20, extractor, zones=drawn) for drawn in (NO_ZONES, drawn))
    dropped = 0
    for before, after in zip(whole, fewer, strict=True):
        kept = drawn.keeps(before.boxes, (WIDTH, HEIGHT))
        dropped += int((~kept).sum())
        for name in ("boxes", "appearance", "flow"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[kept])
        assert (after.frame, after.status, after.dropped) == (before.frame, before.status, before.dropped)
    assert 20 < dropped < sum(map(len, whole)) - 20


def test_shards_do_not_show_with_zones_either(clip: Video) -> None:
    extractor, drawn = Extractor(MOTION), zones(("watch", LOWER))
    assert content(extract(clip, 7, extractor, zones=drawn)) == content(extract(clip, COUNT, extractor, zones=drawn))
