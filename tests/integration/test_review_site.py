"""The overview, the list of events and the page about a result in a real Chromium, opened from disk."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hf2vad.report.site.evidence import video_key
from tests.browser import Visit, until, visit
from tests.review import (
    BUNDLE,
    FIRST,
    FORMULA,
    HOSTILE,
    SENTENCE,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

from tests.integration.conftest import Night

KEY = video_key(FIRST)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""axe's names of levels A and AA."""
PAGES = ["index.html", "events.html", "about.html", "video.html", f"video.html#video={KEY}&t=1"]


def names(cards: Locator) -> list[str]:
    return cards.locator("h3").all_inner_texts()


def test_the_overview_shows_the_night(seen: Visit) -> None:
    page = seen.open("index.html")
    assert page.locator("header .title").inner_text() == f"Night of {HOSTILE}"
    heads = page.locator("#heat thead th").all_inner_texts()
    assert [head.replace("\n", " ") for head in heads[1:]] == ["2026-11-24 22:00", "2026-11-24 23:00"]
    rows = {row[0]: row[1:] for row in page.locator("#heat tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )}  # fmt: skip
    assert rows == {
        "cam-a": ["2", ""],
        "cam-b": ["", "1"],  # its peak is two seconds into a video that begins a second before the hour
        HOSTILE: ["1", "no footage"],
        FORMULA: ["1", "no footage"],
    }
    assert names(page.locator("#top"))[0] == f"{HOSTILE}/2026-11-24/22-00-00.mp4"
    assert "frozen" in page.locator("#health").inner_text()
    assert "cam-c/2026-11-24/22-00-00.mp4" in page.locator("#failures").inner_text()
    assert f"not a readable video: {HOSTILE}" in page.locator("#failures").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_every_cell_of_the_map_leads_to_the_footage_and_every_camera_to_its_events(seen: Visit) -> None:
    page = seen.open("index.html")
    assert page.locator("#heat tbody tr").all_inner_texts()[0].startswith("cam-a"), "the busiest is first"
    assert page.locator("#heat .heat-none").all_inner_texts() == ["no footage"] * 2
    cell = page.get_by_label("cam-a, 2026-11-24 22:00: 2 events")
    assert "highest score 9.50, 1.9 times the threshold" in (cell.get_attribute("title") or "")
    cell.click()
    page = seen.arrived()
    assert page.url.endswith(f"video.html#video={KEY}&t=1.00")
    page = seen.open("index.html")
    page.get_by_label("cam-a, 2026-11-24 23:00: 0 events").click()
    page = seen.arrived()
    assert page.locator("h1:visible").inner_text() == "cam-a/2026-11-24/23-15-00.mp4"
    page = seen.open("index.html")
    page.locator("#heat").get_by_role("link", name="cam-a", exact=True).click()
    page = seen.arrived()
    assert names(page.locator("#events")) == [FIRST, FIRST]
    assert page.locator("#count").inner_text() == "2 events of 5"


def test_events_are_filtered_by_camera_video_time_score_and_kind(seen: Visit) -> None:
    page = seen.open("events.html")
    cards, count = page.locator("#events > li"), page.locator("#count")
    assert cards.count() == 5
    for label, value, left in (
        ("Camera", "cam", 3), ("Video", "22-15", 2), ("Score from", "9", 2),
    ):  # fmt: skip
        page.get_by_label(label, exact=True).fill(value)
        assert (cards.count(), count.inner_text()) == (left, f"{left} events of 5")
        page.get_by_role("button", name="Clear").click()
        until(page, "document.querySelectorAll('#events > li').length === 5")
    page.locator("[name=column]").select_option("2026-11-24 23:00")
    assert names(page.locator("#events")) == ["cam-b/2026-11-24/22-59-59.avi"]
    page.locator("[name=column]").select_option("any")
    page.get_by_label("From", exact=True).fill("2026-11-25")
    assert cards.count() == 0
    page.get_by_label("From", exact=True).fill("2026-11-24")
    page.get_by_label("Until", exact=True).fill("2026-11-24")
    assert cards.count() == 5
    page.get_by_label("From", exact=True).fill("")
    page.get_by_label("Until", exact=True).fill("")
    page.locator("[name=kind]").select_option("appearance")
    assert names(page.locator("#events")) == [FIRST]
    assert page.url.endswith("events.html#kind=appearance")
    page.reload()
    page = seen.arrived()
    assert cards.count() == 1, "the address keeps the filter"


def test_an_event_tells_why(seen: Visit, review_night: Night) -> None:
    page = seen.open("events.html")
    card = page.locator(f"[data-key='{review_night.evidence}']")
    assert "0.4 s · appearance" in card.inner_text()
    assert card.locator(".sentence").inner_text() == SENTENCE
    assert "Rarer than 1 in 8,000 objects." in card.inner_text()
    assert [text.strip() for text in card.locator(".parts dd").all_inner_texts()] == ["+7.5 σ", "+1.5 σ"]
    box = card.locator("rect.box")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["12", "9", "20", "30"]
    assert card.locator(".picture img").get_attribute("alt") == f"Frame 24 of {FIRST}, at the peak of the event"
    assert "reconstructed: left out by the test" in card.inner_text()
    card.get_by_role("button", name="Why").click()
    panel = page.get_by_role("dialog", name=SENTENCE)
    heads = panel.locator("figcaption b").all_inner_texts()
    assert heads == [
        "The object", "What the network expected", "Where it looks different", "How it moves",
        "Where it moves differently", "1.", "2.",
    ]  # fmt: skip
    assert "The nearest of 9 normal examples of this camera" in panel.inner_text()
    assert "Distance 0.25." in panel.locator("figcaption").nth(5).inner_text()
    until(page, "[...document.querySelectorAll('figure img')].every(i => i.complete && i.naturalWidth)")
    assert panel.get_by_role("link", name="Clip").get_attribute("href") == f"events/{review_night.evidence}/clip.mp4"
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")
    assert page.evaluate("document.activeElement.className") == "why-open", "the focus is back where it was"


def test_previews_move_unless_less_motion_is_asked_for_and_a_switch_decides(
    browser: Browser, review_night: Night
) -> None:
    picture, card = "[data-moving]", f"[data-key='{review_night.evidence}']"
    for motion, shown in (("no-preference", "preview.webp"), ("reduce", "thumb.jpg")):
        with visit(browser, review_night.site, reduced_motion=motion) as made:
            page = made.open("events.html")
            image = page.locator(card).locator(picture)
            assert image.get_attribute("src") == f"events/{review_night.evidence}/{shown}"
            assert image.get_attribute("loading") == "lazy"
            assert page.locator(card).locator("svg rect.box").is_visible() == (motion == "reduce")
            page.get_by_label("Moving previews").click()
            assert image.get_attribute("src") != f"events/{review_night.evidence}/{shown}"
            page.reload()
            page = made.arrived()
            assert image.get_attribute("src") != f"events/{review_night.evidence}/{shown}", "it is remembered"


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_moves_while_a_page_loads(browser: Browser, review_night: Night, width: int) -> None:
    with visit(browser, review_night.site, viewport={"width": width, "height": 900}) as made:
        made.page.add_init_script("""window.shifted = 0; new PerformanceObserver(list => {
            for (const entry of list.getEntries()) window.shifted += entry.value;
        }).observe({type: "layout-shift", buffered: true});""")
        for name in PAGES:
            page = made.open(name)
            page.wait_for_timeout(400)
            assert page.evaluate("window.shifted") < 0.05, name


def test_bars_of_all_events_have_one_scale(seen: Visit) -> None:
    page = seen.open("events.html")
    bars = page.locator(".parts dd").evaluate_all("""all => all.map(one => {
        const width = one.querySelector(".more").getBoundingClientRect().width;
        return [one.innerText.trim(), width / one.querySelector("svg").clientWidth];
    })""")
    assert len(bars) == 2, "of the one event that evidence tells of: this site has no bundle"
    assert [share for _, share in bars] == pytest.approx([1.0, 0.2], abs=0.01)


def test_what_the_result_rests_on_has_a_page(seen: Visit) -> None:
    page = seen.open("index.html")
    assert BUNDLE not in page.locator("main").inner_text()
    page.get_by_role("link", name="About this result").click()
    page = seen.arrived()
    assert page.locator("#about dt", has_text="Bundle").locator("+ dd").inner_text() == BUNDLE


def saved(page: Page, button: str) -> str:
    with page.expect_download() as waited:
        page.get_by_role("button", name=button).click()
    return Path(waited.value.path()).read_text()


def test_chosen_events_are_saved_as_csv_and_json(seen: Visit) -> None:
    page = seen.open("events.html")
    save = page.get_by_role("button", name="Save as CSV")
    assert save.is_disabled()
    page.get_by_label(f"Choose {FIRST} at 0:00:00.8").check()
    page.get_by_label(f"Choose {FORMULA}/2026-11-24/22-00-00.mp4 at 0:00:00.4").check()
    assert page.locator("#chosen").inner_text() == "2 chosen"
    rows = list(csv.DictReader(saved(page, "Save as CSV").splitlines()))
    assert [row["video"] for row in rows] == [FIRST, f"'{FORMULA}/2026-11-24/22-00-00.mp4"]
    assert (rows[0]["start_s"], rows[0]["peak_score"], rows[0]["frame"]) == ("0.8", "9.5", "7.5")
    assert rows[0]["when"] == "2026-11-24 22:15:00"
    kept: list[dict[str, Any]] = json.loads(saved(page, "Save as JSON"))
    assert [row["video"] for row in kept] == [FIRST, f"{FORMULA}/2026-11-24/22-00-00.mp4"]
    assert [kept[0][name] for name in ("x1", "y1", "x2", "y2")] == [12, 9, 32, 39]
    page.get_by_label("Score from").fill("8")
    page.get_by_role("button", name="Choose all that match").click()
    assert page.locator("#chosen").inner_text() == "4 chosen"
    assert page.locator("#events input:checked").count() == 3
    page.get_by_role("button", name="Choose none").click()
    assert save.is_disabled()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_there_are_no_accessibility_violations(browser: Browser, review_night: Night, scheme: Any, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with visit(browser, review_night.site, color_scheme=scheme, viewport={"width": width, "height": 800}) as made:
        for name in PAGES:
            page = made.open(name)
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            if name == "events.html":
                page.locator(f"[data-key='{review_night.evidence}'] .why-open").click()
            found = axe.run(page, options={"runOnly": RULES, "preload": False}).response
            assert [
                (name, rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]
            ] == []
            assert "color-contrast" in {rule["id"] for rule in found["passes"]}
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
