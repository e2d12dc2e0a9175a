"""The page of a video in a real Chromium: player, curve, keys and links to moments."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from hf2vad.jobs.report import ReviewJob
from hf2vad.report.site.evidence import video_key
from hf2vad.report.site.night import write_site
from tests.browser import Visit, until, visit
from tests.clips import only
from tests.review import BUNDLE, CLIPS, FIRST, FORMULA, HOSTILE, Bump, put_video
from tests.streams import Stream, moved, write_stream

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

from tests.integration.conftest import Night

KEY = video_key(FIRST)
PAUSE = 8 * 3600.0


def position(page: Page) -> float:
    """Where the player is, in seconds, when it has arrived and the page knows."""
    until(
        page,
        "(v => v.readyState >= 2 && !v.seeking && Math.abs(v.currentTime - v.restedAt) < 1e-3)"
        "(document.querySelector('video'))",
    )
    return float(page.evaluate("document.querySelector('video').currentTime"))


def slowly(page: Page, rate: float) -> None:
    """Play at a share of the speed, or a clip of seconds is over before a slow machine has looked at it."""
    page.evaluate("(rate) => { document.querySelector('video').playbackRate = rate; }", rate)


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
    slowly(page, 0.25)
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').currentTime > 0.3")
    apart = page.evaluate("""async () => {
        await new Promise(requestAnimationFrame);  // after the page's own callback of this picture
        const over = document.querySelector(".u-over").getBoundingClientRect();
        const mark = document.querySelector(".marker").getBoundingClientRect();
        return (mark.left + 1 - over.left) / over.width * 3.96 - document.querySelector("video").currentTime;
    }""")
    assert abs(apart) < 0.1
    page.get_by_role("button", name="Pause").wait_for()
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
    shot = cv2.imdecode(np.frombuffer(page.locator("video").screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shot is not None
    height, width = shot.shape
    return float(shot[height // 32 : height // 12, width // 3 : 2 * width // 3].mean())


def shows(page: Page, frame: int, *, seconds: float = 10) -> None:
    """Wait until the player's picture is this one: it is drawn some time after the player has arrived."""
    deadline = time.monotonic() + seconds
    while (seen := bar(page)) != pytest.approx(7 * frame % 256, abs=12):
        assert time.monotonic() < deadline, f"a bar of {seen}, not that of frame {frame}"


def test_a_pause_that_was_cut_out_of_the_copy_is_there_in_times_and_links(browser: Browser, paused: Path) -> None:
    key, end = video_key("clip.mkv"), 49 / 25
    with visit(browser, paused) as seen:
        page = seen.open(f"video.html#video={key}&t={PAUSE + 70 / 25}")
        assert position(page) == pytest.approx(end + 1 + 20 / 25, abs=0.01)
        shows(page, 70)
        assert page.evaluate("location.hash").endswith("t=28802.80")
        assert page.locator("#events > li[aria-current]").count() == 1

        def after(press: str) -> float:
            page.keyboard.press(press)
            return position(page)

        assert after("p") == pytest.approx(20 / 25, abs=0.01)
        shows(page, 20)
        assert after("n") == pytest.approx(end + 1 + 20 / 25, abs=0.01)
        assert page.locator("#now").inner_text() == "Event 2 of 2, 8:00:02.8"
        assert after("ArrowLeft") == pytest.approx(end + 0.8, abs=0.01), "in the second that is left of the pause"
        assert after("ArrowLeft") == pytest.approx(end - 0.2, abs=0.01)
        slowly(page, 0.5)
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
    assert page.evaluate("location.hash").endswith("t=0.84"), "the link past the header leaves the address alone"
    page.locator("video").focus()
    assert after("ArrowRight") == pytest.approx(1.84, abs=0.01), "the player's own keys stay out of it"
    page.get_by_label("Keys").uncheck()
    assert after("n") == pytest.approx(1.84, abs=0.01)
    page.locator("#curve").focus()
    assert after("ArrowRight") == pytest.approx(2.84, abs=0.01)


def test_keys_go_from_the_wanted_moment_while_the_video_is_still_on_its_way(seen: Visit) -> None:
    seen.page.route("**/media/**", lambda route: None)  # held until the route is taken away
    page = seen.open(f"video.html#video={KEY}&t=1.6")
    page.keyboard.press("n")
    assert page.locator("#now").inner_text() == "Event 2 of 2, 0:00:02.8"
    page.keyboard.press("p")
    assert page.locator("#now").inner_text() == "Event 1 of 2, 0:00:00.8, appearance"
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('.boxes')")
    seen.page.unroute("**/media/**")
    assert position(page) == pytest.approx(1.8, abs=0.01)


def test_events_labels_and_health_are_told_in_words_too(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}")
    position(page)
    page.get_by_text("Labelled as anomalous", exact=True).click()
    assert page.locator("#spans li").all_inner_texts() == ["0:00:00.7 to 0:00:01.3"]
    page.locator("#spans a").click()
    until(page, "document.querySelector('video').currentTime > 0.1")
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


def test_data_that_is_not_there_is_told(browser: Browser, review_night: Night) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{review_night.site}/video.html#video={'0' * 16}")
    page.get_by_role("alert").get_by_text("is not there or cannot be read").wait_for()
    context.close()


def test_the_objects_of_a_moment_are_drawn_over_the_player_with_their_scores(seen: Visit) -> None:
    page = seen.open(f"video.html#video={KEY}&t=1")
    page.locator(".boxes g").wait_for(state="attached")
    position(page)
    assert page.locator(".boxes g.high text").all_text_contents() == ["9.0"]
    drawn, video = page.locator(".boxes rect").bounding_box(), page.locator("video").bounding_box()
    assert drawn is not None
    assert video is not None
    high = min(video["height"], video["width"] * 48 / 64)
    left = video["x"] + (video["width"] - high * 64 / 48) / 2
    assert drawn["x"] == pytest.approx(left + high * 10 / 48, abs=2)
    assert drawn["height"] == pytest.approx(high * 32 / 48, abs=3)
    page.get_by_label("Boxes with scores").uncheck()
    assert page.locator(".boxes").is_hidden()
    page.keyboard.press("ArrowRight")
    position(page)
    assert page.locator(".boxes g").count() == 0, "nothing was scored a second later"


def test_a_video_without_events_has_a_player_and_a_threshold_within_its_scale(seen: Visit) -> None:
    page = seen.open(f"video.html#video={video_key('cam-a/2026-11-24/23-15-00.mp4')}")
    assert position(page) == pytest.approx(0, abs=0.01)
    page.get_by_text("No frame reached the threshold.").wait_for()
    shot = cv2.imdecode(np.frombuffer(page.locator("#curve canvas").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot is not None
    orange = (np.abs(shot.astype(int) - (12, 65, 194)) < 40).all(axis=2).sum(axis=1)
    assert orange.max() > 0.3 * shot.shape[1], "the dashed line of the threshold, 5, above scores of 1"


def test_a_part_of_a_video_that_was_scored_is_said_to_be_one(browser: Browser, tmp_path: Path) -> None:
    put_video(tmp_path / f"bundle={BUNDLE}", "a.mp4", frames=375, start=375, total=750)
    write_site(ReviewJob(scores=str(tmp_path), out=str(tmp_path / "site")))
    with visit(browser, tmp_path / "site") as seen:
        page = seen.open(f"video.html#video={video_key('a.mp4')}")
        assert page.locator("#about").inner_text() == "camera a.mp4 · scored 15 to 30 s of 30 s · 0 events"


def test_other_cameras_at_a_moment_are_found_by_the_times_of_their_paths(seen: Visit) -> None:
    page = seen.open(f"video.html#video={video_key('cam-b/2026-11-24/22-59-59.avi')}&t=1.2")
    position(page)
    page.get_by_text("Other cameras at this moment").click()
    page.get_by_text("No other camera has footage of 2026-11-24 23:00:00.").wait_for()
    hostile = next(video for video in CLIPS if video.startswith(HOSTILE))
    page = seen.open(f"video.html#video={video_key(hostile)}&t=2.5")
    position(page)
    page.get_by_text("Other cameras at this moment").click()
    page.get_by_text("At 2026-11-24 22:00:02:").wait_for()
    assert page.locator("#meanwhile-list a").all_inner_texts() == [FORMULA]
    page.locator("#meanwhile-list a").click()
    page.locator("h1", has_text=FORMULA).wait_for()
    page = seen.arrived()
    assert position(page) == pytest.approx(2.5, abs=0.02)
