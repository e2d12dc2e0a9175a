from __future__ import annotations

import os
import pty
import re
import sys
import threading

import pytest

from hf2vad import progress
from hf2vad.progress import ProgressBar


def test_a_log_gets_one_plain_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("score", total=2000, unit="frame") as bar:
        for _ in range(1500):
            bar.advance(1, {"cubes": "12"})
    shown = capsys.readouterr()
    assert re.fullmatch(r"score: 1,500/2,000 frames, [\d,.]+/s, [\d,]+ s left  cubes 12\n", shown.err)
    assert shown.out == ""


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with ProgressBar("score", total=4) as bar:
        for _ in range(4):
            bar.advance()
    counts = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert counts == ["score: 1/4", "score: 2/4", "score: 3/4", "score: 4/4", "score: 4/4"]


def test_a_total_may_grow(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("walk", unit="frame") as bar:
        bar.grow(100)
        bar.advance(30)
        bar.grow(20)
        bar.advance(10)
    assert capsys.readouterr().err.startswith("walk: 40/120 frames, ")


def test_without_a_total_what_is_done_is_shown_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("walk") as bar:
        bar.advance(3)
    assert re.fullmatch(r"walk: 3, [\d,.]+/s\n", capsys.readouterr().err)


def test_nothing_done_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("walk", total=7):
        pass
    assert capsys.readouterr().err == "walk: 0/7, 0.0/s\n"


def test_the_latest_figures_stay(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("train", total=2) as bar:
        bar.advance(1, {"epoch": "1", "loss": "0.5"})
        bar.advance(1)
    assert capsys.readouterr().err.endswith("  epoch 1  loss 0.5\n")


def test_an_error_passes_and_what_was_done_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with ProgressBar("train", total=2) as bar:
            bar.advance(1)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert capsys.readouterr().err.startswith("train: 1/2, ")


def test_a_terminal_gets_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    master, slave = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while b"<end>" not in shown:
            shown.extend(os.read(master, 4096))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with ProgressBar("score", unit="frame") as bar:
            bar.grow(30)
            bar.advance(7, {"cubes": "99"})
            bar.grow(10)
            bar.advance(33)
        monkeypatch.undo()
        terminal.write("<end>")
    reader.join(20)
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "40/40" in text
    assert "cubes 99" in text
    assert "/s" not in text
    assert "\x1b[?25h" in shown.decode()


@pytest.mark.parametrize(("seconds", "said"), [(42.4, "42 s"), (720, "12 min"), (3600 * 5 + 420, "5 h 07 min")])
def test_what_is_left_is_told_in_units_that_people_use(seconds: float, said: str) -> None:
    assert progress.duration(seconds) == said
