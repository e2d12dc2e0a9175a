"""Marking events on the pages of a site without a server, in a real Chromium, opened from disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hf2vad.jobs.report import ReviewJob
from hf2vad.report.site.evidence import video_key
from hf2vad.report.site.night import write_site
from hf2vad.review.store import read_reviews
from tests.browser import Visit, until, visit
from tests.review import FIRST, PATTERN, Bump, put_night, put_video

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    _, prefix = put_night(folder)
    write_site(ReviewJob(scores=str(prefix), out=str(folder / "site"), pattern=PATTERN))
    return folder / "site"


@pytest.fixture
def seen(browser: Browser, site: Path) -> Iterator[Visit]:
    with visit(browser, site) as made:
        yield made


def left(page: Page) -> str:
    return page.locator("#triage-left").inner_text()


def names(page: Page) -> list[str]:
    return page.locator("li.card:not([hidden]) h3").all_inner_texts()


def test_the_overview_is_reviewed_by_keys_though_its_cards_come_after_all_events(seen: Visit) -> None:
    def later(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    seen.page.route("**/data/overview.js", later)
    page = seen.open("index.html")
    assert not page.locator("#triage-done").is_visible()
    assert page.locator("#triage-start").is_enabled()


def test_all_events_are_marked_by_keys_alone(seen: Visit) -> None:
    page = seen.open("events.html")
    assert left(page) == "5 of 5 left to review"
    page.locator("#triage-start").focus()
    page.keyboard.press("Enter")
    for verdict, rest in zip("33213", range(4, -1, -1), strict=True):
        page.keyboard.press(verdict)
        assert left(page) == f"{rest} of 5 left to review"
        assert page.locator("li.card:not([hidden])").count() == rest
    assert page.locator("#triage-done").is_visible()
    assert page.evaluate("document.activeElement.id") == "triage-undo", "the focus is not lost with the last card"
    page.keyboard.press("Enter")
    assert left(page) == "1 of 5 left to review"
    assert page.evaluate("document.activeElement.dataset.key") == page.locator("li.card:not([hidden])").get_attribute(
        "data-key"
    )


def test_keys_go_from_card_to_card_and_take_back(seen: Visit) -> None:
    page = seen.open("events.html")
    focused = "[...document.querySelectorAll('li.card')].indexOf(document.activeElement)"
    page.locator("#triage-start").click()
    for key, place in (("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == place
    page.locator("#triage-show").select_option("all")
    page.locator("li.card").nth(0).focus()
    page.keyboard.press("3")
    card = page.locator("li.card").nth(0)
    assert card.get_by_role("button", name="Normal").get_attribute("aria-pressed") == "true"
    page.locator("li.card").nth(0).focus()
    page.keyboard.press("0")
    assert card.get_by_role("button", name="Normal").get_attribute("aria-pressed") == "false"
    page.keyboard.press("u")
    assert card.get_by_role("button", name="Normal").get_attribute("aria-pressed") == "true"


def test_keys_do_nothing_beside_cards_and_in_fields(seen: Visit) -> None:
    page = seen.open("events.html")
    page.keyboard.press("3")
    page.get_by_label("Video", exact=True).fill("22")
    page.get_by_label("Video", exact=True).press("3")
    assert page.get_by_label("Video", exact=True).input_value() == "223"
    page.get_by_label("Video", exact=True).fill("")
    assert left(page) == "5 of 5 left to review"


def test_marks_are_chosen_to_be_seen_again(seen: Visit) -> None:
    page = seen.open("events.html")
    first, second = names(page)[:2]
    page.locator("li.card").nth(0).get_by_role("button", name="Interesting").click()
    page.locator("li.card:not([hidden])").nth(0).get_by_role("button", name="Normal").click()
    assert len(names(page)) == 3
    for choice, shown in (("interesting", [first]), ("normal", [second]), ("reviewed", [])):
        page.locator("#triage-show").select_option(choice)
        assert names(page) == shown
    page.locator("#triage-show").select_option("all")
    assert len(names(page)) == 5


def test_the_browser_keeps_marks_on_all_pages(seen: Visit) -> None:
    page = seen.open("events.html")
    page.locator("li.card", has_text="22-15-00").first.get_by_role("button", name="Reviewed").click()
    page.reload()
    page = seen.arrived()
    assert left(page) == "4 of 5 left to review"
    page = seen.open(f"video.html#video={video_key(FIRST)}")
    assert left(page) == "1 of 2 left to review"
    page = seen.open("index.html")
    until(page, "document.getElementById('triage-left').textContent === '4 of 5 left to review'")
    assert len(names(page)) == 4


def test_an_event_that_begins_a_little_later_when_scored_anew_stays_marked(browser: Browser, tmp_path: Path) -> None:
    for start in (20, 24, 60):
        put_video(tmp_path / "scores/bundle=b", FIRST, bumps=[Bump(start, 41 + start, 9.0)], frames=200)
        write_site(ReviewJob(scores=str(tmp_path / "scores"), out=str(tmp_path / str(start))))
    context = browser.new_context()
    page = context.new_page()
    for start, said in ((20, "1 of 1"), (24, "0 of 1"), (60, "1 of 1")):
        page.goto(f"file://{tmp_path}/{start}/events.html")
        page.locator("body[data-ready=yes]").wait_for(state="attached")
        assert left(page) == f"{said} left to review"
        if start == 20:
            page.locator("li.card").get_by_role("button", name="Reviewed").click()
    context.close()


def test_saved_marks_are_a_file_that_reviews_are_read_from(seen: Visit, tmp_path: Path) -> None:
    page = seen.open("events.html")
    page.locator("li.card", has_text="22-15-00").first.get_by_role("button", name="Normal").click()
    with page.expect_download() as download:
        page.locator("#triage-save").click()
    download.value.save_as(tmp_path / "marks.json")
    (mark,) = read_reviews([str(tmp_path / "marks.json")])
    assert (mark.video, mark.video_key, mark.fingerprint) == (FIRST, video_key(FIRST), fingerprint(seen.site))
    assert (mark.start_frame, mark.end_frame, mark.verdict) == (20, 30, "normal")


def fingerprint(site: Path) -> str:
    text = (site / "data/videos" / f"{video_key(FIRST)}.js").read_text()
    page = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    return str(page["events"][0]["fingerprint"])


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_marked_cards(browser: Browser, site: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with visit(browser, site, viewport={"width": width, "height": 900}, color_scheme=scheme) as made:
        page = made.open("events.html")
        page.locator("#triage-show").select_option("all")
        for number, name in enumerate(("Reviewed", "Interesting", "Normal")):
            page.locator("li.card").nth(number).get_by_role("button", name=name).click()
        found = axe.run(page, options={"runOnly": RULES, "preload": False}).response
        assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
