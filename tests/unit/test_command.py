"""The command `hf2vad`: the jobs under short names."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from hf2vad import __version__
from hf2vad.__main__ import main
from hf2vad.commandline import command
from hf2vad.jobs import JOBS, load
from tests.site import ROOT, run_job, run_process


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hf2vad", *arguments])
    try:
        return main()
    except SystemExit as ended:
        return int(ended.code or 0)


def test_without_a_job_it_lists_them_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch) == 0
    shown = capsys.readouterr().out
    for name in JOBS:
        assert f"  {name} " in shown


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_called_the_same_everywhere_and_has_a_door(name: str) -> None:
    assert load(name).name == name
    doors = [path for path in (ROOT / "jobs").glob("*.py") if f"from {JOBS[name]} import JOB" in path.read_text()]
    assert [command(path.stem) for path in doors] == [name]
    assert len(doors[0].read_text().splitlines()) < 10


def test_every_door_leads_to_a_job() -> None:
    assert sorted(command(path.stem) for path in (ROOT / "jobs").glob("*.py")) == sorted(JOBS)


def test_it_knows_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_an_unknown_job_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "skore", "--out", "x") == 2
    assert capsys.readouterr().err.startswith("error: hf2vad skore: no such job; did you mean score? There are run, ")


def test_help_shows_commands_as_they_are_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "score", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: hf2vad score ")
    assert "hf2vad score demo/archive/test" in shown
    assert "python jobs/score_archive.py --archive demo" not in shown


@pytest.mark.parametrize("name", JOBS)
def test_help_names_at_most_eight_options_of_a_job_and_help_all_the_others(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, name, "--help") == 0
    own, _, everywhere = capsys.readouterr().out.partition("\nEvery job:\n")
    assert 1 <= len(option_rows(own)) <= 8
    assert call(monkeypatch, name, "--help-all") == 0
    all_of_them, _, again = capsys.readouterr().out.partition("\nEvery job:\n")
    assert everywhere == again
    assert set(option_rows(own)) <= set(option_rows(all_of_them))
    left_out = set(option_rows(own)) != set(option_rows(all_of_them))
    assert (f"hf2vad {name} --help-all" in own) == left_out, "where it leaves some out, it says how to see them"


def option_rows(text: str) -> list[str]:
    """What the rows of a help begin with."""
    return re.findall(r"^  (--[a-z][\w.-]*|[A-Z]{3,})", text, re.MULTILINE)


def test_scoring_does_not_list_what_the_bundle_brings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("score", "backfill"):
        assert call(monkeypatch, name, "--help-all") == 0
        text = capsys.readouterr().out
        assert "--flow." not in text
        assert "the bundle brings them: decode, working, flow, motion, detector, cube" in " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_the_examples_of_a_job_are_its_own_command_lines(name: str) -> None:
    assert f"hf2vad {name} " in run_job(name, "--help").stdout


def test_the_help_of_a_door_shows_the_door() -> None:
    shown = run_process("score_archive", "--help").stdout
    assert shown.startswith("usage: jobs/score_archive.py ")
    assert "hf2vad score demo/archive/test" in shown


def test_a_mistake_ends_as_in_the_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--scores", "nowhere", "--labels", "nowhere", "--out", "nowhere")
    assert call(monkeypatch, "evaluate", *arguments) == 2
    assert capsys.readouterr().err.startswith("error: nowhere: ")


def test_help_is_a_word_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "help") == 0
    assert "Start:\n  run " in capsys.readouterr().out
    assert call(monkeypatch, "help", "train") == 0
    assert capsys.readouterr().out.startswith("usage: hf2vad train ")


def test_whoever_reads_the_first_line_alone_sees_no_traceback() -> None:
    job = [sys.executable, "-m", "hf2vad", "score", "--help"]
    with subprocess.Popen(job, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("usage: hf2vad score")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0
