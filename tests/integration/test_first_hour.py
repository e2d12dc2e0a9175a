"""What a terminal shows of each job: a word at once, no blank screen, six lines at the end, a help of eight options."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks.first_hour import at_end, commands, options, shown
from benchmarks.tables import results
from hf2vad.jobs import JOBS
from hf2vad.summary import LINES
from tests.site import ROOT, environment
from tests.terminal import Shown, in_terminal

PAGE = ROOT / "docs" / "quickstart.md"
CHECKED = ("run", "extract", "train", "score", "report", "review", "similar", "teach", "case", "alarms", "evaluate")
"""Jobs that are run here. The benchmark runs all; those left out take minutes, or are made of these."""


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    return dict(shown(tmp_path_factory.mktemp("first_hour"), CHECKED, without_ray=True))


def test_the_benchmark_runs_jobs_that_there_are(tmp_path: Path) -> None:
    assert set(CHECKED) < set(commands(tmp_path)) == set(JOBS)


@pytest.mark.parametrize("name", CHECKED)
def test_a_word_comes_at_once_and_the_screen_is_never_blank_for_long(name: str, screens: dict[str, Shown]) -> None:
    # Bounds for a machine that does other work too; the benchmark's figures are of one that does nothing else.
    assert screens[name].first_s < 10
    assert screens[name].longest_blank_s < 15


@pytest.mark.parametrize("name", CHECKED)
def test_a_job_ends_with_a_few_lines_that_say_where_its_result_is(name: str, screens: dict[str, Shown]) -> None:
    lines = at_end(screens[name])
    assert 1 <= len(lines) <= LINES
    assert "/" in lines[-1] or name == "similar"  # which puts nothing anywhere
    assert not [line for line in lines if line.startswith(("│", "┃", "╭"))]


def test_the_docs_have_the_table_and_no_help_is_long() -> None:
    assert all(options(name)[0] <= 8 for name in JOBS)
    (result,) = results("first_hour.json")
    assert {row["job"] for row in result["rows"]} <= set(JOBS)
    (rows,) = re.findall(r"<!-- table: first_hour -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert re.findall(r"`hf2vad ([\w-]+)`", rows) == list(JOBS)


def test_verbose_prints_all_figures_and_a_pipe_gets_no_live_line(tmp_path: Path, screens: dict[str, Shown]) -> None:
    assert "Starting hf2vad score" in screens["score"].text
    code = "import sys; from hf2vad.progress import doing, screen, stage\n"
    code += "with screen('x') as s: print('first'); print(s); doing('y')\n"
    code += "with stage('1/2 a', 0, 0.5, 1): print('inside')\n"
    shown_lines = in_terminal([sys.executable, "-c", code], cwd=ROOT, env=environment(), timeout=60).lines
    assert shown_lines[0] == "first"
    assert shown_lines[-1] == "inside"
