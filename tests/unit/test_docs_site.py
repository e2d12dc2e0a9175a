"""The documentation builds as a site, each link and anchor leading somewhere; its drawings are what draws them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.browser import chromium

ROOT = Path(__file__).parents[2]
LARGEST = 300_000
"""Bytes of a picture in the docs."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, in which no link or anchor leads nowhere."""
    site = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site), "--strict"]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site: Path) -> None:
    assert "fonts.googleapis.com" not in (site / "index.html").read_text()
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_the_search_works_from_disk_and_nothing_leaves_the_site(site: Path) -> None:
    asked: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{site}/index.html")
        page.keyboard.press("f")
        page.keyboard.type("lease")
        page.locator(".md-search-result__item").first.wait_for(state="attached")
    assert [url for url in asked if not url.startswith("file:")] == []


def test_a_link_out_of_the_docs_becomes_a_name() -> None:
    replace = runpy.run_path(str(ROOT / "docs" / "outside.py"))["on_page_markdown"]

    def shown(uri: str, text: str) -> str:
        return str(replace(text, page=SimpleNamespace(file=SimpleNamespace(src_uri=uri))))

    assert shown("monitoring.md", "[rules](../cluster/alerts.yaml)") == "rules (`cluster/alerts.yaml`)"
    assert shown("adr/0001.md", "[`Makefile`](../../Makefile)") == "`Makefile`"
    assert shown("adr/0001.md", "[speed](../performance.md#memory)") == "[speed](../performance.md#memory)"


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "adr" / "index.md").read_text()
    for path in (ROOT / "docs" / "adr").glob("0*.md"):
        assert f"({path.name})" in listed, path.name


def test_the_drawings_are_what_draws_them() -> None:
    images = ROOT / "docs" / "images"
    for name, draw in runpy.run_path(str(images / "draw.py"))["PICTURES"].items():
        assert (images / f"{name}.svg").read_text(encoding="utf-8") == draw().svg(), "python docs/images/draw.py"


def test_pictures_are_small() -> None:
    for path in (ROOT / "docs" / "images").iterdir():
        assert path.stat().st_size <= LARGEST, path.name
