"""The command `hf2vad`: the jobs under short names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hf2vad import __version__
from hf2vad.__main__ import jobs, main

ROOT = Path(__file__).parents[2]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hf2vad", *arguments])
    try:
        return main()
    except SystemExit as ended:
        return int(ended.code or 0)


def test_without_a_job_it_lists_them_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert len(jobs()) == len(list((ROOT / "jobs").glob("*.py")))
    for name in ("extract", "train", "score", "build-engine", "demo"):
        assert f"  {name} " in shown


def test_it_knows_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_an_unknown_job_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "skore", "--out", "x") == 2
    assert capsys.readouterr().err.startswith("error: hf2vad skore: no such job; there are ablate, ")


def test_help_shows_commands_as_they_are_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "score", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: hf2vad score ")
    assert "hf2vad score --archive demo/archive/test" in shown
    assert "jobs/score_archive.py --archive" not in shown


def test_a_mistake_ends_as_in_the_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--scores", "nowhere", "--labels", "nowhere", "--out", "nowhere")
    assert call(monkeypatch, "evaluate", *arguments) == 2
    assert capsys.readouterr().err.startswith("error: nowhere: ")
