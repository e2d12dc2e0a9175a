"""A case: chosen events as a zip that opens without us."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK
from hf2vad.errors import ConfigError, MismatchError
from hf2vad.evidence.choose import event_key
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.jobs.case import CaseJob, case_job
from tests.browser import chromium, until
from tests.evidence import VIDEOS, Scored

KEYS = tuple(event_key(video, 4) for video in VIDEOS)


def case(scored: Scored, out: Path, *events: str, archive: Path | None = None, **settings: object) -> int:
    job = CaseJob(
        scores=str(scored.scores), archive=(str(archive or scored.archive),), bundle=str(scored.bundle), events=events,
        out=str(out), ray=RayConfig(address="none"), **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    return case_job(job)


@pytest.fixture(scope="module")
def unpacked(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of both events, whose keys come from a file of the site and from the command line."""
    folder = tmp_path_factory.mktemp("case")
    (folder / "events.json").write_text(json.dumps([{"key": KEYS[0], "video": VIDEOS[0]}]))
    assert case(scored, folder / "case.zip", str(folder / "events.json"), KEYS[1], title="Case <17>") == EXIT_OK
    zipfile.ZipFile(folder / "case.zip").extractall(folder / "case")
    return folder / "case"


def test_it_has_clips_pictures_and_rows_of_each_event(scored: Scored, unpacked: Path) -> None:
    for number in (1, 2):
        names = {path.name for path in (unpacked / f"event-00{number}").iterdir()}
        assert {"event.json", "thumb.jpg", "clip.mp4", "clip_boxes.mp4", "appearance.png", "n0.png"} <= names
    rows = list(csv.DictReader(io.StringIO((unpacked / "events.csv").read_text("utf-8-sig"))))
    assert [row["video"] for row in rows] == list(VIDEOS)
    assert len(rows[0]["box"].split()) == 4
    kept = json.loads((unpacked / "events.json").read_text())
    assert [row["sentence"] for row in kept] == [row["sentence"] for row in rows]
    source = hashlib.sha256((scored.archive / VIDEOS[0]).read_bytes()).hexdigest()
    assert rows[0]["source_sha256"] == kept[0]["source_sha256"] == source


def test_its_hashes_are_checked_by_the_usual_program(unpacked: Path) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum on this machine")
    subprocess.run([program, "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=unpacked, check=True)
    named = {line.split("  ", 1)[1] for line in (unpacked / "SHA256SUMS").read_text().splitlines()}
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert named == there - {"SHA256SUMS"}
    (unpacked / "event-001" / "thumb.jpg").touch()
    assert (unpacked / "event-001" / "thumb.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_its_page_opens_in_a_browser_and_plays(unpacked: Path) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"file://{unpacked}/index.html")
        assert page.locator("h1").inner_text() == "Case <17>"
        assert page.locator("section").count() == 2
        assert VIDEOS[1] in page.locator("section").nth(1).inner_text()
        loaded = (
            "(e => e.every(x => x.naturalWidth || x.readyState >= 1))([...document.querySelectorAll('img, video')])"
        )
        assert page.locator("video").count() == 4
        until(page, loaded, seconds=30)


def test_the_same_case_is_the_same_bytes(scored: Scored, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        assert case(scored, tmp_path / name, KEYS[0], evidence=EvidenceConfig(nearest=0, previews=False)) == EXIT_OK
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert "event-001/clip.mp4" not in zipfile.ZipFile(tmp_path / "a.zip").namelist(), "clips were not asked for"


def test_what_is_missing_is_said_on_the_page_and_by_the_exit_code(scored: Scored, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(scored.archive, archive)
    (archive / VIDEOS[1]).unlink()
    assert case(scored, tmp_path / "case.zip", *KEYS, archive=archive) == EXIT_FAILURES
    page = zipfile.ZipFile(tmp_path / "case.zip").read("index.html").decode()
    assert f"{VIDEOS[1]}: not in {archive} any more" in page


def test_mistakes_say_what_is_wrong(scored: Scored, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--events: 0000000000000000: not among the events of"):
        case(scored, tmp_path / "case.zip", "0" * 16)
    (tmp_path / "odd.json").write_text("{}x")
    with pytest.raises(ConfigError, match="not a file of events that the review site saved"):
        case(scored, tmp_path / "case.zip", str(tmp_path / "odd.json"))
    with pytest.raises(ConfigError, match="name the events of the case"):
        case(scored, tmp_path / "case.zip")
    (prefix,) = scored.scores.glob("bundle=*")
    shutil.copytree(prefix, tmp_path / "scores" / "bundle=0123456789abcdef")
    with pytest.raises(MismatchError, match="give that bundle"):
        case(Scored(scored.archive, scored.bundle, tmp_path / "scores"), tmp_path / "case.zip", *KEYS)
    assert not (tmp_path / "case.zip").exists()
