"""Numbers of things in words, and summaries of six lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hf2vad.plurals import count_words
from hf2vad.summary import LINES, print_lines, show_everything, within_line

ROOT = Path(__file__).parents[2]
NOUNS = "video|camera|cube|frame|shard|event|file|failure|worker|row|mark|moment|stretch|peak|alarm|core|node"
COUNTED = re.compile(rf"^ (new |more |marked )?({NOUNS})s\b(?!/)")


@pytest.mark.parametrize(
    ("number", "what", "words"),
    [
        (0, "video", "0 videos"),
        (1, "video", "1 video"),
        (2000, "video", "2,000 videos"),
        (2, "box", "2 boxes"),
        (3, "stretch", "3 stretches"),
        (1, "anomaly", "1 anomaly"),
        (4, "anomaly", "4 anomalies"),
        (2, "day", "2 days"),
        (0.5, "alarm", "0.5 alarms"),
    ],
)
def test_a_noun_after_a_number_has_the_right_number(number: float, what: str, words: str) -> None:
    assert count_words(number, what) == words


def test_no_summary_of_a_job_writes_a_plural_itself() -> None:
    wrong = []
    for path in (path for room in ("jobs", "runs", "walk") for path in (ROOT / "hf2vad" / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                pairs = zip(node.values, node.values[1:], strict=False)
                wrong += [
                    f"{path.name}:{after.lineno}{after.value}"
                    for before, after in pairs
                    if isinstance(before, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and COUNTED.match(str(after.value))
                ]
    assert wrong == []


def test_a_summary_has_six_lines_and_says_how_many_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([f"line {number}" for number in range(9)], last="where it lies")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == LINES
    assert lines[-2:] == ["… and 5 more lines with --verbose", "where it lies"]


def test_a_line_that_is_longer_than_the_terminal_ends_after_a_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "gate.mp4 at 0:00:04: Moves fast. Rarer than 1 in 30 objects, about once in 1 second"
    monkeypatch.setenv("COLUMNS", "60")
    assert within_line(text) == text  # no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert within_line(text) == "gate.mp4 at 0:00:04: Moves fast. Rarer than 1 in 30 objects"
    assert within_line(f"{'x' * 90}: Moves fast; looks usual. Rare") == f"{'x' * 90}: Moves fast"
    assert within_line("x" * 90) == "x" * 90
    assert within_line("short") == "short"
    try:
        show_everything(True)
        assert within_line(text) == text
    finally:
        show_everything(False)
