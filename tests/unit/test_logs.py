"""--log: one line an event, for people or for a log store."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from hf2vad import logs
from hf2vad.commandline import EXIT_USAGE
from hf2vad.errors import StorageError
from hf2vad.progress import ProgressBar
from tests.unit.test_commandline import Settings, job


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    log = logging.getLogger("hf2vad")
    monkeypatch.setattr(log, "handlers", list(log.handlers))
    monkeypatch.setattr(logs, "_BOUND", {})
    level = log.level
    yield
    log.setLevel(level)


def test_without_the_option_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.event("shard done", video="a.mp4")
    logs.warn("video failed", video="a.mp4")
    assert capsys.readouterr() == ("", "")


def test_json_lines_hold_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    logs.write_logs("json")
    logs.bind(run="r1", job="backfill")
    logs.event("shard done", video="gate/\u00fc\n.mp4", shard=(0, 200), cubes=7, seconds=None)
    logs.warn("video failed", video="b.mp4", reason="no video\nthere")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "info",
        "message": "shard done",
        "run": "r1",
        "job": "backfill",
        "video": "gate/\u00fc\n.mp4",
        "shard": [0, 200],
        "cubes": 7,
    }
    assert (second["level"], second["reason"]) == ("warning", "no video\nthere")


def test_text_is_one_line_an_event_that_no_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    logs.write_logs("text")
    logs.event("shard done", video="a\x1b[2J\n=b.mp4", reason="", shard=(0, 200), cubes=7)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split(" ", 1)[1] == 'info shard done video="a\\u001b[2J\\n=b.mp4" reason="" shard="(0, 200)" cubes=7'


def test_progress_is_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    logs.write_logs("json")
    with ProgressBar("score", total=40, unit="frame") as bar:
        bar.advance(10, {"failed": "2"})
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["done"], line["total"], line["failed"]) == ("progress", 10, 40, "2")
    assert line["seconds_left"] >= 0
    assert line["per_s"] > 0


def test_the_error_that_ends_a_job_is_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run(settings: Settings) -> int:
        raise StorageError("s3://b: gone")

    assert job(run).main(["--archive", "a", "--log", "json"]) == EXIT_USAGE
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["why"]) == ("error", "s3://b: gone")


def test_another_form_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert job().main(["--archive", "a", "--log", "xml"]) == EXIT_USAGE
    assert capsys.readouterr().err == "error: --log must be text or json, got 'xml'\n"
