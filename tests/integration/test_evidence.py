"""Evidence through Ray, of a run that the jobs made, into S3 and a folder; and its clips in a real Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hf2vad.cluster.settings import RayConfig
from hf2vad.evidence.choose import event_key
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.runs.evidence import EvidenceJob, gather_evidence
from hf2vad.storage import list_files, read_json
from tests.seaweed import SeaweedServer
from tests.site import Site, kill_busy, run_job

pytestmark = pytest.mark.usefixtures("ray_cluster")

PLAY = """() => Promise.all([...document.querySelectorAll("video")].map(async (video) => {
    await video.play();
    await new Promise((done) => { video.ontimeupdate = () => video.currentTime > 0.3 && done(); });
    return [video.videoWidth, video.videoHeight, video.duration];
}))"""


def gather(places: dict[str, str], *, kill: bool = False, **settings: Any) -> dict[str, int]:
    """Gather; `kill`: end the first worker that is at work."""
    job = EvidenceJob(**places, evidence=EvidenceConfig(**settings), ray=RayConfig(retries=0))
    with ThreadPoolExecutor(1) as pool:
        counts = pool.submit(gather_evidence, job)
        if kill:
            kill_busy("show_video")
        return counts.result(150)


@pytest.fixture(scope="module")
def places(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Scores in which every clip has one event, from its first scored frame on."""
    folder = tmp_path_factory.mktemp("evidence")
    always = ("--events.threshold=-1e9", "--events.low=-1e9")
    run_job("score_archive", "--archive", site.test, "--bundle", site.network, "--out", folder / "scores", *always)
    return {
        "scores": str(folder / "scores"),
        "archive": str(site.test),
        "bundle": str(site.network),
        "site": str(folder / "review"),
    }


@pytest.fixture(scope="module")
def gathered(places: dict[str, str]) -> Path:
    archive = Path(places["scores"]).with_name("archive")
    shutil.copytree(places["archive"], archive)
    (archive / "03_cart.mp4").unlink()
    counts = gather({**places, "archive": str(archive)}, clips=True)
    assert counts == {"events": 3, "made": 2, "kept": 0, "noted": 1, "removed": 0}
    return Path(places["site"])


def row(site: Path, video: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site / "events" / event_key(video, 4) / "event.json").read_text())
    return found


def test_workers_put_everything_of_a_trained_bundle_and_a_note_where_the_video_is_gone(gathered: Path) -> None:
    for video in ("01_runner.mp4", "02_cyclist.mp4"):
        known = row(gathered, video)
        assert "note" not in known
        assert len(known["files"]) == 11
        assert len(known["files"]["nearest"]) == len(known["nearest_distance"]) == 3
        for name in (*known["files"].pop("nearest"), *known["files"].values()):
            assert (gathered / "events" / event_key(video, 4) / name).stat().st_size > 100
        assert known["kind"] in ("flow", "appearance")
    assert "03_cart.mp4: not in " in row(gathered, "03_cart.mp4")["note"]


def test_the_next_run_makes_what_is_missing_and_nothing_else(gathered: Path, places: dict[str, str]) -> None:
    before = (gathered / "events" / event_key("01_runner.mp4", 4) / "event.json").stat().st_mtime_ns
    assert gather(places, clips=True) == {"events": 3, "made": 1, "kept": 2, "noted": 0, "removed": 0}
    assert (gathered / "events" / event_key("01_runner.mp4", 4) / "event.json").stat().st_mtime_ns == before


def test_a_killed_worker_costs_notes_and_the_next_run_mends_them(places: dict[str, str], tmp_path: Path) -> None:
    cut, quiet = ({**places, "site": str(tmp_path / name)} for name in ("cut", "quiet"))
    counts = gather(cut, kill=True)
    assert counts["made"] + counts["noted"] == 3
    assert gather(cut) == {"events": 3, "made": 3 - counts["made"], "kept": counts["made"], "noted": 0, "removed": 0}
    gather(quiet)
    ours, theirs = ({path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
                    for site in (tmp_path / "cut", tmp_path / "quiet"))  # fmt: skip
    assert ours == theirs


def test_a_site_in_s3_gets_the_same(s3: SeaweedServer, gathered: Path, places: dict[str, str]) -> None:
    counts = gather({**places, "site": "s3://review/night"}, events=1, clips=True)
    assert (counts["events"], counts["made"]) == (1, 1)
    names = {entry.name for entry in list_files("s3://review/night/events")}
    key = next(iter(names)).split("/")[0]
    known = read_json(f"s3://review/night/events/{key}/event.json")
    assert row(gathered, known["video"])["parts"] == known["parts"]
    assert len(names) == 14


def test_chromium_plays_the_clips(gathered: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    folder = gathered / "events" / event_key("01_runner.mp4", 4)
    (folder / "page.html").write_text('<video muted src="clip.mp4"></video><video muted src="clip_boxes.mp4"></video>')
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with (
        playwright.sync_playwright() as started,
        contextlib.closing(started.chromium.launch(executable_path=browser, args=arguments)) as chromium,
    ):
        page = chromium.new_page()
        page.goto(f"file://{folder}/page.html")
        played = page.evaluate(PLAY)
    (folder / "page.html").unlink()
    assert [size[:2] for size in played] == [[320, 240], [320, 240]]
    assert all(abs(size[2] - 60 / 12.5) < 0.1 for size in played)
