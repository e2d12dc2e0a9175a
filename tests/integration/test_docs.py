"""The code in README and docs, run as it stands; and the wheel, whose demo it is run on."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import duckdb
import pytest

import hf2vad
from benchmarks import tables
from hf2vad.commandline import command
from hf2vad.errors import ConfigError
from hf2vad.jobs import load
from hf2vad.reference import job_settings
from hf2vad.settings import from_dict
from tests.installed import Installed, install_wheel
from tests.seaweed import SeaweedServer
from tests.site import ROOT, RayCluster, environment, run_job, upload

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]*?) -->\n)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
RUNNABLE = ("bash", "python", "sql")
"""Languages whose blocks are run. TOML is read as settings; other blocks show output, or say why they are not run."""
STATEMENT = re.compile(r"^(?:[^\n]*<<'(\w+)'[^\n]*\n.*?^\1$|(?:[^\n]*\\\n)*[^\n]+)", re.DOTALL | re.MULTILINE)
"""A statement of a bash block: a line with those that continue it, or with its here-document."""
PYTHON = re.compile(r"python - <<'(\w+)'\n(.*)^\1$", re.DOTALL | re.MULTILINE)
JOB = re.compile(r"(?:hf2vad (?P<name>[\w-]+)|python jobs/(?P<door>\w+)\.py)(?P<arguments>[^|&;<>$`]*)")
"""A job's command line that needs nothing of a shell but quotes."""


@dataclass(frozen=True)
class Block:
    """A block of code."""

    language: str
    text: str
    reason: str | None
    """Why it is not run."""


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text())
    return [Block(block["language"], block["text"], block["reason"]) for block in found]


def runs(block: Block) -> bool:
    return block.language in RUNNABLE and block.reason is None


RUN = [page for page in PAGES if any(runs(block) for block in blocks(page))]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def checkout(
    installed: Installed, s3: SeaweedServer, ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the code with a small demo in it, made by the installed wheel, and what the docs expect in S3."""
    folder = tmp_path_factory.mktemp("checkout")
    small = ["--train-clips=2", "--test-clips=2", "--frames=40", "--flow-epochs=1", "--ray.address=none"]
    env = {name: value for name, value in environment().items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    done = subprocess.run(
        [installed.bin / "hf2vad", "demo", "--out", "demo", *small],
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "look at" in done.stdout
    for name in ("hf2vad", "jobs", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", folder)  # what it names, ray job submit does not send along
    shutil.copytree(folder / "demo" / "archive" / "test", folder / "videos")
    upload(folder / "demo" / "archive" / "test", "s3://cameras/2026")
    upload(folder / "demo" / "bundle", "s3://vad/bundles/site-7")
    return folder


def test_the_demo_of_the_wheel_leaves_what_it_promises(checkout: Path) -> None:
    for name in ("bundle/bundle.json", "evaluation.json", "report/index.html", "report/data/overview.js"):
        assert (checkout / "demo" / name).is_file()


def test_the_wheel_has_all_files_of_the_package_and_nothing_else(installed: Installed) -> None:
    inside = set(zipfile.ZipFile(installed.wheel).namelist())
    package = [path for path in (ROOT / "hf2vad").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in package} == {name for name in inside if ".dist-info/" not in name}
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    place = [installed.bin / "python", "-c", "import hf2vad; print(hf2vad.__file__)"]
    where = subprocess.run(place, capture_output=True, text=True, env=env, cwd=installed.bin, check=True).stdout
    assert where.startswith(str(installed.bin.parent))


def test_the_changelog_begins_with_this_version() -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == hf2vad.__version__


def test_the_demo_takes_a_users_own_videos(checkout: Path, tmp_path: Path) -> None:
    small = ("--flow-epochs", 1, "--first-part", 60)
    arguments = ("--out", tmp_path, "--archive", checkout / "demo" / "archive" / "test", *small)
    run_job("demo", *arguments)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("test-")
    assert "02_cyclist.mp4" in (folder / "report" / "data" / "lists" / "0.js").read_text()
    again = run_job("demo", *arguments, "--verbose")
    assert "already trained" in again.stdout


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(
    page: Path, checkout: Path, installed: Installed, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", f"{installed.bin}{os.pathsep}{environment()['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", ray_cluster.dashboard)
    for block in filter(runs, blocks(page)):
        if block.language == "python":
            exec(block.text, {})
        elif block.language == "sql":
            duckdb.execute(with_bundle_id(block.text, checkout)).fetchall()
        else:
            for statement in STATEMENT.finditer(block.text):
                run_statement(statement[0])


def run_statement(statement: str) -> None:
    """Run a statement of bash; a job or a Python program, which need no process of their own, in this one."""
    if job := JOB.fullmatch(statement.replace("\\\n", " ")):
        name = job["name"] or command(job["door"])
        here = ("--ray.address", "none") if "ray" in {item.name for item in fields(load(name).settings)} else ()
        run_job(name, *shlex.split(job["arguments"]), *here)
    elif program := PYTHON.fullmatch(statement):
        exec(program[2], {})
    else:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", statement], capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, f"{statement}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def with_bundle_id(query: str, checkout: Path) -> str:
    """A query with the id of the bundle that is there in place of `bundle=…`."""
    return re.sub(r"'([^']*)…", lambda path: f"'{next(checkout.glob(path[1] + '*'))}", query)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_not_run_says_why(page: Path) -> None:
    for block in blocks(page):
        assert block.reason is None or len(block.reason) > 10
        shown = block.language in ("", "text", "console")
        assert block.language in (*RUNNABLE, "toml") or shown or block.reason, (
            f"```{block.language}: neither run nor said why"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_in_a_page_are_those_of_a_job(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml" and block.reason is None:
            assert [kind for kind in job_settings().values() if accepts(kind, tomllib.loads(block.text))], block.text


def accepts(kind: type[object], values: dict[str, object]) -> bool:
    try:
        from_dict(kind, values)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_tables_in_the_docs_are_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks tables", "--check"])
    assert tables.main() == 0, capsys.readouterr().out
