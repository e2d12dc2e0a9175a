"""The review server as a process of its own: its files, its refusals, and marks that outlive it."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hf2vad.jobs.report import ReviewJob
from hf2vad.report.site.evidence import video_key
from hf2vad.report.site.night import write_site
from hf2vad.review.store import MarkStore, read_reviews
from hf2vad.review.zone_store import ZoneChange, ZoneStore, read_zones
from hf2vad.storage import put_bytes
from tests.browser import until
from tests.review import FIRST, PATTERN, put_night
from tests.seaweed import SeaweedServer
from tests.server import Server, ask_again, left, page_of, sent, serving, url
from tests.site import upload

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KILLS = 10


@dataclass(frozen=True)
class Night:
    site: Path
    archive: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("night")
    archive, prefix = put_night(folder)
    write_site(ReviewJob(scores=str(prefix), out=str(folder / "site"), archive=(str(archive),), pattern=PATTERN))
    return Night(folder / "site", archive)


@pytest.fixture
def night(made: Night) -> Iterator[Night]:
    """A night that nobody has marked."""
    yield made
    shutil.rmtree(made.site / "reviews", ignore_errors=True)


def test_pages_data_and_linked_videos_are_served(night: Night) -> None:
    with serving(night.site, "--archive", str(night.archive)) as server:
        assert server.path == "/site/"
        status, headers, body = server.ask("GET", "/site/index.html")
        assert (status, headers["Content-Type"], body) == (
            200, "text/html; charset=utf-8", (night.site / "index.html").read_bytes(),
        )  # fmt: skip
        assert server.ask("GET", "/")[1]["Location"] == "/site/index.html"
        assert b'"marks": []' in server.ask("GET", "/site/static/server.js")[2]
        video = (night.archive / FIRST).read_bytes()
        status, headers, body = server.ask("GET", f"/archive/{FIRST}", headers={"Range": "bytes=100-299"})
        assert (status, body, headers["Content-Range"]) == (206, video[100:300], f"bytes 100-299/{len(video)}")
        assert headers["Content-Type"] == "video/mp4"
        status, headers, body = server.ask("HEAD", f"/archive/{FIRST}")
        assert (status, headers["Content-Length"], body) == (200, str(len(video)), b"")
        assert server.ask("GET", f"/archive/{FIRST}", headers={"Range": f"bytes={len(video)}-"})[0] == 416
        again = server.ask("GET", f"/archive/{FIRST}", headers={"If-None-Match": headers["ETag"]})
        assert (again[0], again[2]) == (304, b"")
        assert server.end() == 0


def test_it_refuses_what_is_not_its_own(night: Night) -> None:
    secret = night.site.parent / "secret.mp4"
    secret.write_text("secret")
    with serving(night.site, "--archive", str(night.archive)) as server:
        for path in ("/secret.mp4", "/site/../secret.mp4", "/site/%2e%2e/secret.mp4", "/archive/..%2fsecret.mp4"):
            status, _, body = server.ask("GET", path)
            assert (status, body) == (404, b"nothing here\n"), path
        marks = "/site/marks"
        assert server.ask("GET", marks, headers={"Host": "evil.example"})[0] == 421
        assert server.ask("POST", marks, sent(1), headers={"Origin": "http://evil.example"})[0] == 403
        assert server.ask("POST", marks, sent(1), headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert server.ask("POST", marks, sent(1), headers={"Content-Type": "text/plain"})[0] == 415
        assert server.ask("POST", "/site/index.html", sent(1))[0] == 405
        assert server.ask("PUT", marks, sent(1))[0] == 501
        assert server.ask("DELETE", "/site/index.html")[0] == 501
        assert server.ask("POST", marks, b"{")[0] == 400
        assert server.ask("POST", marks, sent(1, verdict="funny"))[0] == 400
        assert server.ask("POST", marks, b"{", headers={"Content-Length": str(9 << 20)})[0] == 413
    assert not (night.site / "reviews").exists() or not list((night.site / "reviews").iterdir())
    assert (night.site / "index.html").exists()


def test_other_machines_need_the_token(night: Night) -> None:
    with serving(night.site, "--host", "0.0.0.0") as server:
        assert re.fullmatch(r"[0-9a-f]{32}", server.token)
        for path in ("/", "/index.html", "/static/server.js", "/marks", f"/data/videos/{video_key(FIRST)}.js"):
            assert server.ask("GET", path)[0] == 401, path
        assert server.ask("GET", "/?token=0123456789abcdef")[0] == 401
        assert server.mark(1) == 401
        status, headers, _ = server.ask("GET", f"/?token={server.token}")
        assert (status, headers["Location"]) == (303, "/index.html")
        cookie, *flags = headers["Set-Cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(flags)
        assert server.ask("GET", "/index.html", headers={"Cookie": cookie})[0] == 200
        assert server.ask("POST", "/marks", sent(1), {"Authorization": f"Bearer {server.token}"})[0] == 200
    with (
        pytest.raises(AssertionError, match="--token must be at least 16 letters"),
        serving(night.site, "--token", "x"),
    ):
        pass


def test_two_clients_of_two_servers_that_mark_at_once_lose_nothing(night: Night) -> None:
    with serving(night.site) as first, serving(night.site) as second:
        refused: list[int] = []

        def work(server: Server, begin: int) -> None:
            refused.extend(number for number in range(begin, begin + 100) if server.mark(number) != 200)

        threads = [
            threading.Thread(target=work, args=(server, 1000 * number))
            for number, server in enumerate((first, second, first, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not refused
        expected = {1000 * client + number for client in range(4) for number in range(100)}
        for server in (first, second):
            seen = json.loads(server.ask("GET", "/marks")[2])["marks"]
            assert {int(mark["event"], 16) for mark in seen} == expected
    assert len(list((night.site / "reviews").iterdir())) < 400, "files are joined meanwhile"


@pytest.mark.slow
def test_a_server_that_is_killed_at_random_moments_loses_no_acknowledged_mark(night: Night) -> None:
    draw = random.Random(16)
    acknowledged: set[int] = set()
    number = 0
    for _ in range(KILLS):
        with serving(night.site) as server:
            killer = threading.Timer(draw.uniform(0.01, 0.4), server.process.kill)
            killer.start()
            with contextlib.suppress(OSError, http.client.HTTPException):
                while True:
                    number += 1
                    if server.mark(number) == 200:
                        acknowledged.add(number)
            killer.join()
            server.process.wait(20)
        kept = {int(event, 16) for event in MarkStore(str(night.site / "reviews")).marks()}
        assert acknowledged <= kept
    assert len(acknowledged) > KILLS


ZONE = {"kind": "ignore", "points": [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0]]}


def change(camera: str = "cam-a", **what: object) -> dict[str, object]:
    return {"hf2vad.zones": 1, "pattern": PATTERN, "camera": camera, **what}


def test_zones_are_kept_beside_the_marks_and_told_to_pages(night: Night) -> None:
    with serving(night.site) as server:
        nothing, headers, _ = server.ask("GET", f"{server.path}zones")
        assert nothing == 200
        status, _, body = server.ask("POST", f"{server.path}zones", change(add=[ZONE]))
        assert status == 200
        assert json.loads(body) == {"hf2vad.zones": 1, "pattern": PATTERN, "cameras": {"cam-a": [ZONE]}}
        assert read_zones(str(night.site)).to_json() == json.loads(body)
        status, after, body = server.ask("GET", f"{server.path}zones", headers={"If-None-Match": headers["ETag"]})
        assert (status, json.loads(body)["cameras"]) == (200, {"cam-a": [ZONE]})
        assert server.ask("GET", f"{server.path}zones", headers={"If-None-Match": after["ETag"]})[0] == 304
        script = server.ask("GET", f"{server.path}static/server.js")[2]
        assert json.loads(script.split(b"= ", 1)[1].rstrip(b";\n"))["zones"]["cameras"] == {"cam-a": [ZONE]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", b"not valid JSON"),
        (sent(1), b"not a change of zones"),
        (change(add=[{"kind": "ignore", "points": [[0, 0], [2, 0], [1, 1]]}]), b"[2, 0] lies outside 0 to 1"),
    ],
)
def test_what_is_no_change_of_zones_is_refused(night: Night, body: object, said: bytes) -> None:
    with serving(night.site) as server:
        status, _, answer = server.ask("POST", f"{server.path}zones", body)
        assert status == 400
        assert said in answer
    assert not (night.site / "reviews").exists()


def test_zones_need_the_token_and_a_page_of_this_server(night: Night) -> None:
    with serving(night.site, "--host", "0.0.0.0") as server:
        zones = f"{server.path}zones"
        assert server.ask("POST", zones, change(add=[ZONE]))[0] == 401
        bearer = {"Authorization": f"Bearer {server.token}"}
        assert server.ask("POST", zones, change(add=[ZONE]), {**bearer, "Origin": "http://other"})[0] == 403
        form = {**bearer, "Content-Type": "text/plain"}
        assert server.ask("POST", zones, change(add=[ZONE]), form)[0] == 415
        assert server.ask("POST", zones, change(add=[ZONE]), bearer)[0] == 200


def test_zones_that_a_page_has_saved_are_loaded(night: Night, tmp_path: Path) -> None:
    saved = tmp_path / "zones.json"
    saved.write_text(json.dumps({"hf2vad.zones": 1, "pattern": PATTERN, "cameras": {"cam-b": [ZONE]}}))
    ZoneStore(str(night.site / "reviews" / "zones")).change(ZoneChange.parse(change(add=[ZONE]), where=""))
    with serving(night.site, "--load", str(saved)):
        assert sorted(read_zones(str(night.site)).cameras) == ["cam-a", "cam-b"]


def test_a_site_in_s3_is_reviewed_in_place(night: Night, s3: SeaweedServer) -> None:
    upload(night.site, "s3://reviewed/night/site")
    upload(night.archive, "s3://reviewed/night/cams")
    put_bytes("s3://reviewed/night/secret.mp4", b"secret")
    with serving("s3://reviewed/night/site", "--archive", "s3://reviewed/night/cams", env=s3.env) as server:
        assert server.path == "/site/"
        assert server.ask("GET", "/site/index.html")[2] == (night.site / "index.html").read_bytes()
        video = (night.archive / FIRST).read_bytes()
        assert server.ask("GET", f"/cams/{FIRST}", headers={"Range": "bytes=-50"})[2] == video[-50:]
        assert server.ask("GET", "/secret.mp4")[0] == 404
        assert server.mark(1, 2) == 200
    assert len(read_reviews(["s3://reviewed/night/site"])) == 2


def test_two_browsers_see_each_others_marks(night: Night, browser: Browser) -> None:
    with (
        serving(night.site) as server,
        page_of(browser, url(server, "events.html")) as one,
        page_of(browser, url(server, "events.html")) as two,
    ):
        assert left(one) == left(two) == "5 of 5 left to review"
        one.locator("#events > li").nth(0).get_by_role("button", name="Normal").click()
        two.locator("#events > li").nth(1).get_by_role("button", name="Interesting").click()
        for page in (one, two):
            until(page, "document.getElementById('triage-state').textContent === 'Saved'")
        for page in (one, two):
            ask_again(page)
            until(page, "document.getElementById('triage-left').textContent === '3 of 5 left to review'")
            assert page.locator("#events > li:not([hidden])").count() == 3
        one.locator("#triage-undo").click()
        until(one, "document.getElementById('triage-state').textContent === 'Saved'")
        ask_again(two)
        until(two, "document.getElementById('triage-left').textContent === '4 of 5 left to review'")
    marks = read_reviews([str(night.site)])
    assert [mark.verdict for mark in marks] == ["interesting"]


def test_marks_wait_for_a_server_that_is_away(night: Night, browser: Browser) -> None:
    context: Any = browser.new_context()
    page = context.new_page()
    page.clock.install()

    def says(words: str) -> None:
        until(page, f"document.getElementById('triage-state').textContent.startsWith('{words}')")

    with serving(night.site) as server:
        page.goto(url(server, "events.html"))
        page.locator("body[data-ready=yes]").wait_for(state="attached")
        server.end(signal.SIGKILL)
        page.locator("#events > li").nth(0).get_by_role("button", name="Normal").click()
        says("Not saved yet")
    with serving(night.site, "--port", str(server.port)) as server:
        ask_again(page)
        says("Saved")
        server.end(signal.SIGKILL)
        ask_again(page)
        says("No answer from the server")
    with serving(night.site, "--port", str(server.port)):
        ask_again(page)
        says("Saved")
    context.close()
    assert len(read_reviews([str(night.site)])) == 1


def test_a_linked_video_plays_from_the_server(night: Night, browser: Browser) -> None:
    with (
        serving(night.site, "--archive", str(night.archive)) as server,
        page_of(browser, url(server, f"video.html#video={video_key(FIRST)}&t=1")) as page,
    ):
        until(page, "document.querySelector('video').readyState >= 2")
        until(page, "Math.abs(document.querySelector('video').currentTime - 1) < 0.05")
        assert left(page) == "2 of 2 left to review"
