"""The commands in README and docs, run as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.seaweed import SeaweedServer
from tests.site import ROOT, RayCluster, environment, run_job, upload

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]*?) -->\n)?```bash\n(?P<text>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@dataclass(frozen=True)
class Command:
    """A block of shell commands."""

    page: Path
    text: str
    reason: str | None
    """Why it is not run."""


def commands(page: Path) -> list[Command]:
    return [Command(page, found["text"], found["reason"]) for found in BLOCK.finditer(page.read_text())]


RUN = [page for page in PAGES if any(command.reason is None for command in commands(page))]


@pytest.fixture(scope="module")
def checkout(s3: SeaweedServer, ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with a small demo in it, and what the docs expect in S3."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("hf2vad", "jobs", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", folder)  # what it names, ray job submit does not send along
    small = ("--train-clips", 2, "--test-clips", 2, "--frames", 40, "--flow-epochs", 1)
    done = run_job("demo", "--out", folder / "demo", *small)
    assert "look at" in done.stdout
    upload(folder / "demo" / "archive" / "test", "s3://cameras/2026")
    upload(folder / "demo" / "bundle", "s3://vad/bundles/site-7")
    return folder


def test_the_demo_leaves_what_it_promises(checkout: Path) -> None:
    for name in ("bundle/bundle.json", "evaluation.json", "report/index.html", "report/data/overview.js"):
        assert (checkout / "demo" / name).is_file()


def test_the_demo_takes_a_users_own_videos(checkout: Path, tmp_path: Path) -> None:
    small = ("--flow-epochs", 1, "--first-part", 60)
    arguments = ("--out", tmp_path, "--archive", checkout / "demo" / "archive" / "test", *small)
    run_job("demo", *arguments)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("test-")
    assert "02_cyclist.mp4" in (folder / "report" / "data" / "lists" / "0.js").read_text()
    again = run_job("demo", *arguments)
    assert "already trained" in again.stdout


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(page: Path, checkout: Path, ray_cluster: RayCluster) -> None:
    env = {**environment(), "RAY_API_SERVER_ADDRESS": ray_cluster.dashboard, "PYTHONPATH": str(checkout)}
    for command in commands(page):
        if command.reason is None:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command.text],
                capture_output=True,
                text=True,
                cwd=checkout,
                env=env,
                timeout=280,
            )
            assert done.returncode == 0, f"{command.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_not_run_says_why(page: Path) -> None:
    for command in commands(page):
        assert command.reason is None or len(command.reason) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_tables_in_the_docs_are_what_was_measured() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "tables", "--check"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()
