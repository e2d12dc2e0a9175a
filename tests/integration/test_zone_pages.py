"""Drawing zones and regions on the pages of a review site, in a real Chromium, by pointer and by keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hf2vad.archive.zone_map import EVERY_CAMERA, Zones
from hf2vad.archive.zones import Zone, feet_of
from hf2vad.report.site.evidence import video_key
from hf2vad.review.zone_store import read_zones
from tests.browser import Visit, until, visit
from tests.drawing import click, drag, opened
from tests.integration.conftest import Night
from tests.review import FIRST, PATTERN, SQUARE
from tests.server import ask_again, page_of, serving, url

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
VIDEO = f"video.html#video={video_key(FIRST)}"
LOWER = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]
UPPER = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)]


@pytest.fixture
def site(review_night: Night, tmp_path: Path) -> Path:
    """A night in which nobody has drawn."""
    return shutil.copytree(review_night.site, tmp_path / "site")


@pytest.fixture
def drawing(browser: Browser, site: Path) -> Iterator[Visit]:
    with visit(browser, site) as made:
        yield made


def listed(page: Page) -> list[str]:
    return [text.partition(" Events")[0] for text in page.locator("#zone-list li").all_inner_texts()]


def saved(page: Page, path: Path) -> Zones:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save zones").click()
    download.value.save_as(path)
    return Zones.parse(path.read_bytes(), where=str(path))


def test_zones_are_drawn_with_the_pointer_kept_by_the_browser_and_saved(drawing: Visit, tmp_path: Path) -> None:
    page = opened(drawing.open(VIDEO))
    assert page.locator("#zone-none").is_visible()
    click(page, LOWER[:2])
    assert page.locator("#zone-add").is_disabled(), "two corners are no zone"
    click(page, LOWER[2:])
    page.get_by_role("button", name="Add zone").click()
    assert listed(page) == ["Ignore, 4 corners"]
    page.locator("#zone-kind").select_option("watch")
    page.locator("#zone-camera").select_option("every camera")
    click(page, UPPER)
    page.get_by_role("button", name="Add zone").click()
    assert listed(page) == ["Ignore, 4 corners", "Watch alone, 4 corners, every camera"]
    assert page.locator("svg.region polygon.ignore").count() == page.locator("svg.region polygon.watch").count() == 1

    page = opened(drawing.open(VIDEO))
    assert len(listed(page)) == 2, "the browser kept them"
    zones = saved(page, tmp_path / "zones.json")
    assert zones.pattern == PATTERN
    assert sorted(zones.cameras) == [EVERY_CAMERA, "cam-a"]
    (drawn,) = zones.cameras["cam-a"].zones
    assert drawn.kind == "ignore"
    np.testing.assert_allclose(drawn.points, LOWER, atol=0.02)
    assert drawn.points[2] == (1.0, 1.0), "what is next to the edge is on it"

    page.get_by_role("button", name="Remove: Zone 1").click()
    assert listed(page) == ["Watch alone, 4 corners, every camera"]
    assert page.evaluate("document.activeElement.id") == "zone-keys", "the focus is not lost with the zone"
    other = opened(drawing.open(f"video.html#video={video_key('cam-b/2026-11-24/22-59-59.avi')}"))
    assert listed(other) == ["Watch alone, 4 corners, every camera"]


def test_a_zone_is_drawn_by_keys_alone(drawing: Visit, tmp_path: Path) -> None:
    page = drawing.open(VIDEO)
    page.wait_for_function("location.hash.includes('&t=')")  # the player has come to its first frame
    before = page.evaluate("location.hash")
    page.locator("#zones > summary").focus()
    page.keyboard.press("Enter")
    page.locator("#zone-keys").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('class')") == "region"

    def press(keys: str, times: int = 1) -> None:
        for _ in range(times):
            page.keyboard.press(keys)

    press("ArrowLeft", 10)
    press("ArrowDown", 5)
    press("Enter")
    status = page.locator("#zone-said p")
    assert status.inner_text() == "Corner set: 1 corner; cursor 30 % from the left, 60 % from the top"
    press("ArrowRight", 30)
    press("Enter")
    press("Enter")
    press("Backspace")
    assert status.inner_text().startswith("Corner removed: 2 corners")
    press("ArrowDown", 10)
    press("Shift+ArrowDown", 4)
    press("Enter")
    assert page.evaluate("location.hash") == before, "the arrows moved the cursor, not the player"
    page.locator("#zone-add").focus()
    press("Enter")
    assert listed(page) == ["Ignore, 3 corners"]
    assert page.evaluate("document.activeElement.getAttribute('class')") == "region"
    zones = saved(page, tmp_path / "zones.json").cameras["cam-a"].zones
    assert zones == (Zone("ignore", ((0.3, 0.6), (0.9, 0.6), (0.9, 0.81))),)


def test_a_corner_is_moved_with_the_pointer_and_by_keys(drawing: Visit, tmp_path: Path) -> None:
    page = opened(drawing.open(VIDEO))
    status = page.locator("#zone-said p")
    click(page, [(0.2, 0.2), (0.8, 0.2), (0.5, 0.8), (0.2, 0.8)])
    drag(page, (0.5, 0.8), (0.7, 0.6))
    assert status.inner_text().startswith("Corner moved: 4 corners; ")
    assert page.locator("svg.region circle").count() == 4, "none was added"
    page.keyboard.press("ArrowLeft")  # near that corner still
    page.keyboard.press("Space")
    assert status.inner_text().startswith("Corner 3 taken: ")
    for key in ("ArrowDown", "ArrowDown", "Space", "ArrowUp"):
        page.keyboard.press(key)
    assert status.inner_text().startswith("4 corners; "), "it was let go before"
    drag(page, (0.2, 0.2), (0.1, 0.1))
    page.keyboard.press("Space")
    page.keyboard.press("Backspace")
    assert status.inner_text().startswith("Corner removed: 3 corners"), "the first, not the last"
    page.get_by_role("button", name="Add zone").click()
    (zone,) = saved(page, tmp_path / "zones.json").cameras["cam-a"].zones
    np.testing.assert_allclose(zone.points, [(0.8, 0.2), (0.7, 0.64), (0.2, 0.8)], atol=0.01)


def test_a_zone_is_changed_and_another_is_drawn_after_it(drawing: Visit, tmp_path: Path) -> None:
    page = opened(drawing.open(VIDEO))
    for corners in (LOWER, UPPER):
        click(page, corners)
        page.get_by_role("button", name="Add zone").click()
    page.get_by_role("button", name="Change: Zone 1").click()
    assert page.locator("svg.region polygon.changing").count() == page.locator("svg.region polygon.ignore").count() == 1
    drag(page, (0.0, 0.5), (0.0, 0.75))
    page.locator("#zone-kind").select_option("watch")
    page.get_by_role("button", name="Change zone").click()
    assert listed(page) == ["Ignore, 4 corners", "Watch alone, 4 corners"], "the new one takes the place of the old one"
    page.get_by_role("button", name="Change: Zone 1").click()
    page.locator("#zone-camera").select_option("every camera")
    page.get_by_role("button", name="Change zone").click()
    assert listed(page) == ["Watch alone, 4 corners", "Ignore, 4 corners, every camera"]
    page.get_by_role("button", name="Change: Zone 1").click()
    for _ in UPPER:
        page.locator("#zone-undo").click()
    page.locator("#zone-clear").click()
    assert page.get_by_role("button", name="Add zone").is_disabled()
    assert listed(page) == ["Watch alone, 4 corners", "Ignore, 4 corners, every camera"], "a change that was dropped"
    zones = saved(page, tmp_path / "zones.json").cameras
    (changed,), (moved,) = zones["cam-a"].zones, zones[EVERY_CAMERA].zones
    np.testing.assert_allclose(changed.points, [(0.0, 0.75), *LOWER[1:]], atol=0.02)
    np.testing.assert_allclose(moved.points, UPPER, atol=0.02)


def test_two_people_draw_at_once_on_a_server_and_see_each_others_zones(browser: Browser, site: Path) -> None:
    with (
        serving(site) as server,
        page_of(browser, url(server, VIDEO)) as one,
        page_of(browser, url(server, VIDEO)) as other,
    ):
        for page, corners in ((one, LOWER), (other, UPPER)):
            opened(page)
            click(page, corners)
        for page in (one, other):
            page.get_by_role("button", name="Add zone").click()
            until(page, "document.getElementById('zone-state').textContent === 'Saved'")
        for page in (one, other):
            ask_again(page)
            until(page, "document.querySelectorAll('#zone-list li').length === 2")
        assert len(read_zones(str(site)).cameras["cam-a"].zones) == 2
        other.get_by_role("button", name="Remove: Zone 1").click()
        until(other, "document.getElementById('zone-state').textContent === 'Saved'")
        ask_again(one)
        until(one, "document.querySelectorAll('#zone-list li').length === 1")
        assert one.get_by_role("button", name="Save zones").is_hidden()
        assert len(read_zones(str(site)).cameras["cam-a"].zones) == 1


def test_an_answer_from_before_a_change_takes_nothing_away(browser: Browser, site: Path) -> None:
    late: list[tuple[Route, APIResponse]] = []
    with serving(site) as server, page_of(browser, url(server, VIDEO)) as page:
        opened(page)
        click(page, LOWER)
        page.route("**/zones", lambda route: late.append((route, route.fetch())), times=1)
        ask_again(page)
        while not late:
            page.wait_for_timeout(20)
        page.get_by_role("button", name="Add zone").click()
        until(page, "document.getElementById('zone-state').textContent === 'Saved'")
        ((route, answer),) = late
        with page.expect_event("requestfinished"):
            route.fulfill(response=answer)
        page.evaluate("new Promise(requestAnimationFrame)")
        assert listed(page) == ["Ignore, 4 corners"]


def test_zones_wait_for_a_server_that_is_away_and_a_refusal_is_told(browser: Browser, site: Path) -> None:
    with serving(site) as server:
        address = url(server, VIDEO)
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator("body[data-ready=yes]").wait_for(state="attached")
        opened(page)
        context.set_offline(True)
        click(page, LOWER)
        page.get_by_role("button", name="Add zone").click()
        until(page, "document.getElementById('zone-state').textContent.startsWith('Not saved yet, trying again')")
        assert listed(page) == ["Ignore, 4 corners"]
        context.set_offline(False)
        until(page, "document.getElementById('zone-state').textContent === 'Saved'")
        click(page, [(0.1, 0.0), (0.5, 0.0), (0.9, 0.0)])
        page.get_by_role("button", name="Add zone").click()
        until(page, "document.getElementById('zone-state').textContent.includes('lie on one line')")
        assert listed(page) == ["Ignore, 4 corners"]
        context.close()


def count(page: Page) -> str:
    return page.locator("#count").inner_text()


def test_events_are_filtered_by_a_region_that_the_address_keeps(drawing: Visit) -> None:
    page = opened(drawing.open("events.html"), "#region")
    assert count(page) == "5 events of 5"
    click(page, UPPER)
    assert count(page) == "0 events of 5", "heads are there, but no feet"
    assert page.locator("#region-used").inner_text() == "(in use)"
    page.get_by_role("button", name="Clear region").click()
    assert count(page) == "5 events of 5"
    click(page, LOWER)
    assert count(page) == "5 events of 5"
    assert "region=" in page.evaluate("location.hash")
    page.get_by_label("Camera", exact=True).fill("cam-a")
    assert count(page) == "2 events of 5"
    page.reload()
    page = drawing.arrived()
    assert count(page) == "2 events of 5"
    page.get_by_role("button", name="Clear", exact=True).click()
    until(page, "document.getElementById('count').textContent === '5 events of 5'")
    assert page.evaluate("location.hash") == ""


def test_a_region_is_drawn_by_keys_over_a_picture(drawing: Visit) -> None:
    page = drawing.open("events.html")
    page.locator("#region > summary").focus()
    page.keyboard.press("Enter")
    page.locator("#region-keys").focus()
    page.keyboard.press("Enter")
    for keys in ("ArrowLeft", "ArrowUp", "ArrowRight"):
        for _ in range(10):
            page.keyboard.press(keys)
        page.keyboard.press("Enter")
    assert count(page) == "0 events of 5"
    assert page.evaluate("location.hash") == "#region=0.3%2C0.5+0.3%2C0.3+0.5%2C0.3"


def test_events_in_a_zone_are_a_link_away(drawing: Visit) -> None:
    page = opened(drawing.open(VIDEO))
    click(page, LOWER)
    page.get_by_role("button", name="Add zone").click()
    page.get_by_role("link", name="Events in it: Zone 1").click()
    page = drawing.arrived()
    assert count(page) == "2 events of 5"


def test_a_camera_without_a_player_is_drawn_on_a_picture(drawing: Visit, site: Path) -> None:
    data = site / "data" / "videos" / f"{video_key(FIRST)}.js"
    data.write_text(data.read_text().replace('"src":"media/', '"src":null,"was":"media/'))
    page = opened(drawing.open(VIDEO))
    assert page.locator("#zone-picture img").is_visible()
    click(page, LOWER)
    page.get_by_role("button", name="Add zone").click()
    assert listed(page) == ["Ignore, 4 corners"]


def test_pages_and_scoring_agree_on_what_lies_in_a_region(drawing: Visit) -> None:
    page = drawing.open("events.html")
    rng = np.random.default_rng(0)
    for corners in range(3, 9):
        polygon = np.round(rng.random((corners, 2)), 4)
        points = np.round(rng.random((200, 2)), 4)
        holds = "([region, all]) => all.map((point) => hf2vad.region.holds(region, point))"
        inside = page.evaluate(holds, [polygon.tolist(), points.tolist()])
        held = Zone("ignore", tuple(map(tuple, polygon.tolist()))).holds(points)
        assert inside == held.tolist()
        assert 0 < held.sum() < 200
    box: dict[str, Any] = {"box": SQUARE, "size": [64, 48]}
    foot = page.evaluate("(event) => hf2vad.region.foot(event)", box)
    np.testing.assert_allclose(foot, feet_of(np.array([SQUARE], np.float32), (64, 48))[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_where_zones_and_regions_are_drawn(
    browser: Browser, site: Path, scheme: Any, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with visit(browser, site, color_scheme=scheme, viewport={"width": width, "height": 800}) as made:
        for name, place in ((VIDEO, "#zones"), ("events.html", "#region")):
            page = opened(made.open(name), place)
            click(page, LOWER)
            if place == "#zones":
                page.get_by_role("button", name="Add zone").click()
                click(page, UPPER)
            found = axe.run(page, options={"runOnly": RULES, "preload": False}).response
            assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
