"""Zones in storage: changes of several people at once, and what is no change."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.archive.zones import NO_ZONES, CameraZones, Zone
from hf2vad.errors import ConfigError
from hf2vad.review.store import MarkStore
from hf2vad.review.zone_store import ZoneChange, ZoneStore, read_zones
from tests.seaweed import SeaweedServer


def zone(number: int = 0) -> CameraZones:
    x = number / 100
    return CameraZones((Zone("ignore", ((x, 0.0), (1.0, 0.0), (1.0, 1.0))),))


def added(number: int, camera: str = "gate") -> ZoneChange:
    return ZoneChange("", camera, zone(number), NO_ZONES)


def removed(number: int, camera: str = "gate") -> ZoneChange:
    return ZoneChange("", camera, NO_ZONES, zone(number))


def test_zones_are_added_and_removed_and_earlier_versions_stay(tmp_path: Path) -> None:
    store = ZoneStore(str(tmp_path))
    assert store.zones() == WHOLE_PICTURES
    store.change(added(1))
    both = store.change(added(2))
    assert both == store.zones() == Zones("", {"gate": CameraZones(tuple(sorted(zone(1).zones + zone(2).zones)))})
    assert store.change(removed(1)).cameras == {"gate": zone(2)}
    assert store.change(removed(2)) == WHOLE_PICTURES
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"0000000{number}.json" for number in range(1, 5)]
    assert Zones.parse((tmp_path / "00000002.json").read_bytes(), where="") == both


def test_a_change_that_was_made_before_puts_nothing(tmp_path: Path) -> None:
    """A request that is sent again because its answer was lost."""
    store = ZoneStore(str(tmp_path))
    for _ in range(2):
        store.change(added(1))
    store.change(removed(2))
    assert store.version() == 1


def change_at_once(uri: str, people: int, each: int) -> None:
    start = threading.Barrier(people)

    def draw(person: int) -> None:
        store = ZoneStore(uri)
        start.wait()
        for number in range(each):
            store.change(added(each * person + number, f"camera {number % 2}"))

    threads = [threading.Thread(target=draw, args=(person,)) for person in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    zones = ZoneStore(uri).zones()
    assert sum(len(camera.zones) for camera in zones.cameras.values()) == people * each
    assert ZoneStore(uri).version() == people * each


def test_people_who_draw_at_once_lose_nothing(tmp_path: Path) -> None:
    change_at_once(str(tmp_path), people=4, each=8)


def test_people_who_draw_at_once_in_s3_lose_nothing(s3: SeaweedServer) -> None:
    change_at_once("s3://drawn/site/reviews/zones", people=3, each=3)


def test_zones_named_by_another_pattern_are_not_mixed(tmp_path: Path) -> None:
    store = ZoneStore(str(tmp_path))
    store.change(added(1))
    with pytest.raises(ConfigError, match="named by pattern '', this site names them by"):
        store.change(ZoneChange("{camera}/*", "gate", zone(2), NO_ZONES))
    store.change(removed(1))
    assert store.change(ZoneChange("{camera}/*", "gate", zone(2), NO_ZONES)).pattern == "{camera}/*"


def test_a_camera_has_so_many_zones_at_most(tmp_path: Path) -> None:
    store = ZoneStore(str(tmp_path))
    for number in range(50):
        store.change(added(number))
    with pytest.raises(ConfigError, match="gate: a camera has at most 50 zones, got 51"):
        store.change(added(50))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "not a change of zones"),
        ({"hf2vad.zones": 2}, "not a change of zones"),
        ({"camera": ""}, "pattern and camera must be texts"),
        ({"camera": 7}, "pattern and camera must be texts"),
        ({"pattern": None}, "pattern and camera must be texts"),
        ({"camera": "x" * 2000}, "at most 1024 characters"),
        ({"camera": "\ud800"}, "valid texts"),
        ({"pattern": "{camera"}, "a right one is"),
        ({"add": {}}, "request: add: must be a list of zones"),
        ({"add": [{"kind": "ignore", "points": [[0, 0]]}]}, "request: add, zone 1: a zone has 3 to 200 points"),
        ({"remove": [7]}, "request: remove, zone 1: not a zone"),
    ],
)
def test_what_is_no_change_is_refused(values: object, said: str) -> None:
    sent = {"hf2vad.zones": 1, "camera": "gate", **values} if isinstance(values, dict) else values
    with pytest.raises(ConfigError) as caught:
        ZoneChange.parse(sent, where="request")
    assert said in str(caught.value)


def test_zones_are_read_from_a_site_its_reviews_and_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "site" / "reviews" / "zones"
    drawn = ZoneStore(str(folder)).change(added(1))
    (tmp_path / "zones.json").write_text(json.dumps(drawn.to_json()))
    for place in (tmp_path / "site", tmp_path / "site" / "reviews", folder, tmp_path / "zones.json"):
        assert read_zones(str(place)) == drawn
    assert read_zones("") == WHOLE_PICTURES
    with pytest.raises(ConfigError, match="no zones there; give a review site"):
        read_zones(str(tmp_path))
    assert MarkStore(str(tmp_path / "site" / "reviews")).marks() == {}, "they are no marks"
