"""A night of the demo reviewed by keyboard alone, taught, and scored again: what was called normal is gone."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hf2vad.bundle.bundle import load_bundle
from hf2vad.demo.archive import generate
from hf2vad.evidence.choose import event_key
from hf2vad.jobs.report import ReviewJob
from hf2vad.report.site.night import write_site
from hf2vad.review.store import read_reviews
from hf2vad.storage import list_files, read_json
from hf2vad.tables.read import scores_prefix, video_tables
from tests.server import Server, left, page_of, serving, url
from tests.site import Done, run_job

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

NIGHT, LATER = 7, 4
"""Clips of the night that is reviewed, and later ones of the same kinds, which nobody has seen."""
NORMAL = "cyclist"
"""Whatever has to do with one is called normal, all else interesting."""
HERE = ("--ray.address", "none")
CLOSE = ("--events.merge-gap", 20, "--events.min-length", 4)
"""Events that lie 2 s apart are two: a clip has more of them to review. At the clips' rate, 25 and 5 frames."""


@dataclass(frozen=True)
class Demo:
    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name

    def scored(self, bundle: str, out: str) -> dict[str, list[dict[str, Any]]]:
        """Score both nights; the events by video."""
        for night in ("night", "later"):
            places = ("--archive", self.folder / night, "--bundle", self.folder / bundle)
            run_job("score_archive", *places, "--out", self.folder / out / night, "--vectors", 2, *CLOSE, *HERE)
        return {**events(self.folder / out / "night"), **events(self.folder / out / "later")}

    def peak(self, out: str, event: dict[str, Any]) -> float:
        """The highest score of an event's frames."""
        for night in ("night", "later"):
            for tables in video_tables(scores_prefix(str(self.folder / out / night)), "frames"):
                if tables.video == event["video"]:
                    score = tables.table("frames")["score"].to_numpy()
                    return float(np.nanmax(score[event["start_frame"] : event["end_frame"] + 1]))
        raise AssertionError(event)


def events(scores: Path) -> dict[str, list[dict[str, Any]]]:
    tables = video_tables(scores_prefix(str(scores)), "events")
    return {found.video: found.table("events").to_pylist() for found in tables}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Two nights of the demo's street, and a bundle of preset `features` that knows people who walk."""
    made = Demo(tmp_path_factory.mktemp("demo"))
    archive = generate(made.folder / "archive", test_clips=NIGHT + LATER, train_clips=4)
    for number, clip in enumerate(sorted(archive.test.iterdir())):
        night = made.folder / ("night" if number < NIGHT else "later")
        night.mkdir(exist_ok=True)
        shutil.copy(clip, night)
    run_job("extract_stc", "--archive", archive.train, "--out", made.stc, "--preset", "features", *HERE)
    run_job("train", "--stc", made.stc, "--out", made.bundle, "--preset", "features")
    made.scored("bundle", "scores")
    write_site(ReviewJob(scores=str(made.scores / "night"), out=str(made.site), archive=(str(made.night),)))
    return made


def review_by_keys(server: Server, browser: Browser) -> int:
    """Mark every event of a night by keyboard alone; returns how many there were."""
    with page_of(browser, url(server, "events.html")) as page:
        count = page.locator("#events > li").count()
        assert left(page) == f"{count} of {count} left to review"
        while page.evaluate("document.activeElement.id") != "triage-start":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        for rest in range(count - 1, -1, -1):
            name = page.evaluate("document.activeElement.querySelector('h3').textContent")
            page.keyboard.press("3" if NORMAL in name else "2")
            assert left(page) == f"{rest} of {count} left to review"
        page.get_by_text("Saved", exact=True).wait_for()
    return count


def test_more_like_a_cyclist_is_another_cyclist(demo: Demo, browser: Browser) -> None:
    scores = ("--scores", str(demo.scores / "night"), str(demo.scores / "later"))
    own = [event for video, found in events(demo.scores / "night").items() if NORMAL in video for event in found]
    first = own[0]
    key = event_key(first["video"], first["start_frame"])
    for how in (("--event", key), ("--video", first["video"], "--at", first["peak_s"])):
        shown = run_job("similar", *scores, *how).stdout.splitlines()
        assert shown[0].startswith(f"Like {first['video']}, frames ")
        assert len(shown) == 6
        assert re.match(rf"  .*{NORMAL}.* at \d:\d\d:\d\d: distance ", shown[1]), shown
    with serving(demo.site, *scores) as server, page_of(browser, url(server, "events.html")) as page:
        for event in own:
            card = page.locator(f"[data-key='{event_key(event['video'], event['start_frame'])}']")
            card.get_by_role("button", name="More like this").click()
            like = card.locator(".similar li").first
            like.wait_for()
            assert NORMAL in like.inner_text()
        status, _, body = server.ask("GET", f"{server.path}similar?event={'0' * 16}")
        assert (status, b"no event") == (404, body[:8])


def taught(demo: Demo, *options: object, expect: int = 0) -> Done:
    return run_job("teach", "--bundle", demo.bundle, "--archive", demo.night, *options, expect=expect)


def test_what_was_called_normal_is_no_event_any_more_and_the_rest_stays(demo: Demo, browser: Browser) -> None:
    before = {**events(demo.scores / "night"), **events(demo.scores / "later")}
    with serving(demo.site, "--archive", str(demo.night)) as server:
        count = review_by_keys(server, browser)
    assert count == sum(map(len, list(before.values())[:NIGHT])) >= 10
    marks = read_reviews([str(demo.site)])
    assert [mark.verdict for mark in marks] == ["normal" if NORMAL in mark.video else "interesting" for mark in marks]

    taught(demo, "--reviews", demo.site, "--out", demo.taught)
    bundle = load_bundle(str(demo.taught))
    provenance = bundle.provenance["taught"]
    assert provenance["bundle"] == load_bundle(str(demo.bundle)).id != bundle.id
    assert {row["event"]: row["verdict"] for row in provenance["events"]} == {m.event: m.verdict for m in marks}

    after = demo.scored("taught", "again")
    assert after.keys() == before.keys()
    assert all(before[video] for video in before if NORMAL in video), "the cyclists were events"
    assert not [video for video in after if NORMAL in video and after[video]], "and are none, seen or not"
    others = [event for video, found in before.items() if NORMAL not in video for event in found]
    kept = {(e["video"], e["start_frame"]): demo.peak("again", e) / e["peak_score"] for e in others}
    reviewed = {mark.video for mark in marks}
    assert [share for (video, _), share in kept.items() if video in reviewed and share < 0.95] == []
    later = [share for (video, _), share in kept.items() if video not in reviewed]
    assert np.mean(np.array(later) >= 0.95) >= 0.75
    assert min(later) >= 0.8, "of events that nobody has marked, too, most is kept"
    assert max(kept.values()) <= 1 + 1e-9, "nothing is more surprising than before"

    write_site(ReviewJob(scores=str(demo.folder / "again/night"), out=str(demo.site), archive=(str(demo.night),)))
    with serving(demo.site) as server, page_of(browser, url(server, "events.html")) as page:
        assert left(page) == f"0 of {count - sum(m.verdict == 'normal' for m in marks)} left to review"


def test_a_video_that_changed_is_named_and_not_learnt_from(demo: Demo, tmp_path: Path) -> None:
    if not (demo.site / "reviews").exists():
        pytest.skip("the review before this one did not come to its end")
    shutil.copytree(demo.night, tmp_path / "night")
    changed = next(path for path in sorted((tmp_path / "night").iterdir()) if NORMAL in path.name)
    changed.write_bytes(changed.read_bytes() + b"\0")
    options = ("--reviews", demo.site, "--out", tmp_path / "taught", "--archive", tmp_path / "night")
    done = taught(demo, *options, expect=3)
    assert f"{changed.name}: changed since its events were marked" in done.stdout
    rows = read_json(str(tmp_path / "taught/bundle.json"))["provenance"]["taught"]["events"]
    assert changed.name not in {row["video"] for row in rows}
    assert len(list(list_files(str(tmp_path / "taught")))) == 2
