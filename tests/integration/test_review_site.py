"""The review site in a real Chromium, opened from disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from hf2vad.jobs.report import ReviewJob, gathered
from hf2vad.report.site.evidence import video_key
from hf2vad.report.site.night import write_site
from tests.browser import Visit, chromium, until, visit
from tests.clips import only
from tests.review import BUNDLE, CLIPS, FIRST, FORMULA, HOSTILE, PATTERN, Bump, put_evidence, put_night, put_video
from tests.scores import label_table
from tests.streams import Stream, moved, write_stream

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

KEY = video_key(FIRST)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""axe's names of levels A and AA."""
PAGES = ["index.html", "events.html", "video.html", f"video.html#video={KEY}&t=1"]


@dataclass(frozen=True)
class Night:
    site: Path
    evidence: str
    """Key of the event about which everything is known."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A small night as a site that holds copies of its videos."""
    folder = tmp_path_factory.mktemp("night")
    archive, prefix = put_night(folder)
    labels = label_table(folder / "labels.parquet", *((FIRST, frame, 18 <= frame < 33) for frame in range(100)))
    job = ReviewJob(
        scores=str(prefix), out=str(folder / "site"), archive=(str(archive),), labels=labels, pattern=PATTERN,
        media="copy", title=f"Night of {HOSTILE}",
    )  # fmt: skip
    assert gathered(job)["made"] == 5
    key = put_evidence(folder / "site", FIRST, 20)
    site = write_site(job)
    assert (site.videos, site.events, site.failures) == (5, 5, 1)
    return Night(folder / "site", key)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def seen(browser: Browser, night: Night) -> Iterator[Visit]:
    with visit(browser, night.site) as made:
        yield made


def position(page: Page) -> float:
    """Where the player is, in seconds, when it has arrived."""
    until(page, "(v => v.readyState >= 2 && !v.seeking)(document.querySelector('video'))")
    return float(page.evaluate("document.querySelector('video').currentTime"))


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
        "cam-a": ["2", "0"],
        "cam-b": ["0", "1"],  # its peak is two seconds into a video that begins a second before the hour
        HOSTILE: ["1", "no footage"],
        FORMULA: ["1", "no footage"],
    }
    assert names(page.locator("#top"))[0] == f"{HOSTILE}/2026-11-24/22-00-00.mp4"
    assert "frozen" in page.locator("#health").inner_text()
    assert "cam-c/2026-11-24/22-00-00.mp4" in page.locator("#failures").inner_text()
    assert f"not a readable video: {HOSTILE}" in page.locator("#failures").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_a_number_in_the_map_leads_to_its_events(seen: Visit) -> None:
    page = seen.open("index.html")
    page.get_by_label("cam-a, 2026-11-24 22:00: 2 events").click()
    page = seen.arrived()
    assert page.url.endswith("events.html#camera=cam-a&column=0")
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
    page.locator("[name=kind]").select_option("appearance")
    assert names(page.locator("#events")) == [FIRST]
    assert page.url.endswith("events.html#kind=appearance")
    page.reload()
    page = seen.arrived()
    assert cards.count() == 1, "the address keeps the filter"


def test_an_event_tells_why(seen: Visit, night: Night) -> None:
    page = seen.open("events.html")
    card = page.locator(f"[data-key='{night.evidence}']")
    assert "0.4 s · score 9.50 · appearance" in card.inner_text()
    assert [text.strip() for text in card.locator(".parts dd").all_inner_texts()] == ["+1.5 σ", "+7.5 σ"]
    box = card.locator("rect.box")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["12", "9", "20", "30"]
    assert card.locator(".picture img").get_attribute("alt") == f"Frame 24 of {FIRST}, at the peak of the event"
    assert "reconstructed: left out by the test" in card.inner_text()
    card.get_by_text("Why").click()
    card.locator("figcaption").first.wait_for()
    captions = card.locator("figcaption").all_inner_texts()
    assert captions == [
        "The object", "Predicted", "Prediction error", "Its flow", "Reconstruction error", "distance 0.25",
        "distance 0.50",
    ]  # fmt: skip
    until(page, "[...document.querySelectorAll('figure img')].every(i => i.complete && i.naturalWidth)")
    assert card.get_by_role("link", name="Clip").get_attribute("href") == f"events/{night.evidence}/clip.mp4"


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


def test_a_click_on_the_curve_seeks_the_player(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}")
    assert position(page) == pytest.approx(0, abs=0.01)
    area = page.locator(".u-over").bounding_box()
    assert area is not None
    page.mouse.click(area["x"] + 0.75 * area["width"], area["y"] + 40)
    assert position(page) == pytest.approx(0.75 * 99 / 25, abs=0.03)
    assert page.locator("#curve").get_attribute("aria-valuetext") == "0:00:03.0, score 7.00"
    assert page.evaluate("Number(new URLSearchParams(location.hash.slice(1)).get('t'))") == pytest.approx(
        2.97, abs=0.03
    )
    assert page.locator("#events > li[aria-current]").count() == 1


def test_the_mark_is_in_step_with_the_playing_video(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}&t=0")
    position(page)
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').currentTime > 1")
    apart = page.evaluate("""() => {
        const over = document.querySelector(".u-over").getBoundingClientRect();
        const mark = document.querySelector(".marker").getBoundingClientRect();
        return (mark.left + 1 - over.left) / over.width * 3.96 - document.querySelector("video").currentTime;
    }""")
    assert abs(apart) < 0.1
    assert page.get_by_role("button", name="Pause").is_visible()
    page.keyboard.press(" ")
    assert page.evaluate("document.querySelector('video').paused")


def test_a_permalink_opens_its_moment(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}&t=2.84")
    assert position(page) == pytest.approx(2.84, abs=0.01)
    assert page.locator("#moment").get_attribute("href") == f"video.html#video={KEY}&t=2.84"
    assert page.locator("h1:visible").inner_text() == FIRST


def test_an_event_of_the_list_opens_at_its_start(seen: Visit) -> None:
    page = seen.open("events.html")
    page.locator("#events").get_by_role("link", name="cam-b/2026-11-24/22-59-59.avi").click()
    page.wait_for_url("**/video.html#*")
    page = seen.arrived()
    assert position(page) == pytest.approx(1.6, abs=0.01)
    assert page.evaluate("document.querySelector('video').videoWidth") == 64, "an AVI of MPEG-4 plays as H.264"


PAUSE = 8 * 3600.0


@pytest.fixture
def paused(tmp_path: Path) -> Path:
    """A site of one video that pauses for eight hours before frame 50."""
    (tmp_path / "archive").mkdir()
    stream = Stream(frames=100, times=moved(PAUSE, range(50, 100)))
    write_stream(tmp_path / "archive" / "clip.mkv", stream)
    video = only(tmp_path / "archive" / "clip.mkv")
    prefix = tmp_path / "scores" / f"bundle={BUNDLE}"
    bumps = [Bump(20, 31, 9.0), Bump(70, 81, 7.0)]
    put_video(prefix, "clip.mkv", bumps=bumps, fingerprint=video.fingerprint, pause=(50, PAUSE))
    write_site(ReviewJob(scores=str(prefix), out=str(tmp_path / "site"), archive=(str(tmp_path / "archive"),)))
    return tmp_path / "site"


def bar(page: Page) -> float:
    """How bright the bar is that is another one in every picture."""
    position(page)
    page.wait_for_timeout(200)
    shot = cv2.imdecode(np.frombuffer(page.locator("video").screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shot is not None
    height, width = shot.shape
    return float(shot[height // 32 : height // 12, width // 3 : 2 * width // 3].mean())


def test_a_pause_that_was_cut_out_of_the_copy_is_there_in_times_and_links(browser: Browser, paused: Path) -> None:
    key, end = video_key("clip.mkv"), 49 / 25
    with visit(browser, paused) as seen:
        page = seen.open(f"video.html#video={key}&t={PAUSE + 70 / 25}")
        assert position(page) == pytest.approx(end + 1 + 20 / 25, abs=0.01)
        assert bar(page) == pytest.approx(7 * 70 % 256, abs=12)
        until(page, "location.hash.endsWith('t=28802.80')")
        assert page.locator("#events > li[aria-current]").count() == 1

        def after(press: str) -> float:
            page.keyboard.press(press)
            return position(page)

        assert after("p") == pytest.approx(20 / 25, abs=0.01)
        assert bar(page) == pytest.approx(7 * 20 % 256, abs=12)
        assert after("n") == pytest.approx(end + 1 + 20 / 25, abs=0.01)
        assert page.locator("#now").inner_text() == "Event 2 of 2, 8:00:02.8"
        assert after("ArrowLeft") == pytest.approx(end + 0.8, abs=0.01), "in the second that is left of the pause"
        assert after("ArrowLeft") == pytest.approx(end - 0.2, abs=0.01)
        page.keyboard.press(" ")
        until(page, f"document.querySelector('video').currentTime > {end + 1.2}")
        page.keyboard.press(" ")
        until(page, "Number(new URLSearchParams(location.hash.slice(1)).get('t')) > 28800")
        shown = page.evaluate("Number(new URLSearchParams(location.hash.slice(1)).get('t'))")
        assert shown == pytest.approx(position(page) - end - 1 + PAUSE + 50 / 25, abs=0.02)


def test_the_video_page_works_by_keyboard(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}&t=0")

    def after(key: str) -> float:
        page.keyboard.press(key)
        return position(page)

    assert after("n") == pytest.approx(0.8, abs=0.01)
    assert page.locator("#now").inner_text() == "Event 1 of 2, 0:00:00.8, appearance"
    assert after("n") == pytest.approx(2.8, abs=0.01)
    assert after("p") == pytest.approx(0.8, abs=0.01)
    assert after("ArrowRight") == pytest.approx(1.8, abs=0.01)
    assert after("Shift+ArrowRight") == pytest.approx(1.84, abs=0.01)
    assert after("ArrowLeft") == pytest.approx(0.84, abs=0.01)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("t=0.84"), "the link past the header leaves the address alone"
    page.locator("video").focus()
    assert after("ArrowRight") == pytest.approx(1.84, abs=0.01), "the player's own keys stay out of it"
    page.get_by_label("Keys").uncheck()
    assert after("n") == pytest.approx(1.84, abs=0.01)
    page.locator("#curve").focus()
    assert after("ArrowRight") == pytest.approx(2.84, abs=0.01)


def test_events_labels_and_health_are_told_in_words_too(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}")
    page.get_by_text("Labelled as anomalous", exact=True).click()
    assert page.locator("#spans li").all_inner_texts() == ["0:00:00.7 to 0:00:01.3"]
    page.locator("#spans a").click()
    assert position(page) == pytest.approx(0.72, abs=0.01)
    page = seen.open(f"video.html#video={video_key('cam-b/2026-11-24/22-59-59.avi')}")
    page.get_by_text("Unhealthy footage", exact=True).click()
    assert page.locator("#spans li").all_inner_texts() == ["frozen, 0:00:00.4 to 0:00:03.6"]


def test_the_list_of_videos_is_searched(seen: Visit) -> None:
    page = seen.open("video.html")
    assert page.locator("#videos tbody tr").count() == len(CLIPS)
    page.get_by_label("Camera or video").fill("cam-a")
    assert page.locator("#list-count").inner_text() == "2 videos of 5"
    page.get_by_role("link", name="cam-a/2026-11-24/23-15-00.mp4").click()
    page.locator("h1", has_text="cam-a/2026-11-24/23-15-00.mp4").wait_for()
    page.get_by_text("No frame reached the threshold.").wait_for()


def test_data_that_is_not_there_is_told(browser: Browser, night: Night) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{night.site}/video.html#video={'0' * 16}")
    page.get_by_role("alert").get_by_text("is not there or cannot be read").wait_for()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_there_are_no_accessibility_violations(browser: Browser, night: Night, scheme: Any, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with visit(browser, night.site, color_scheme=scheme, viewport={"width": width, "height": 800}) as made:
        for name in PAGES:
            page = made.open(name)
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            found = axe.run(page, options={"runOnly": RULES, "preload": False}).response
            assert [
                (name, rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]
            ] == []
            assert "color-contrast" in {rule["id"] for rule in found["passes"]}
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
