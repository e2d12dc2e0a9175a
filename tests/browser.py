"""A real Chromium without a window, for pages that lie on disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
READY = "body[data-ready=yes]:not([data-visited])"
AT_REST = """for (const name of ["seeked", "pause"]) {
    addEventListener(name, (event) => { event.target.restedAt = event.target.currentTime; }, true);
}"""
"""Notes on a player where it came to rest, when its page has been told."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test where the machine has none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)})")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of a site on disk, and what went wrong on it."""

    page: Page
    site: Path
    complaints: list[str] = field(default_factory=list)
    """Lines on the console, errors, dialogs, and requests that left the site's folder."""

    def open(self, name: str) -> Page:
        """Go to a page of the site, as a link from elsewhere would, and wait until its data are there."""
        self.page.goto("about:blank")
        self.page.goto(f"file://{self.site}/{name}")
        return self.arrived()

    def arrived(self) -> Page:
        """The page that a link has led to, when its data are there; never the one that the link was on."""
        self.page.locator(READY).wait_for(state="attached")
        self.page.evaluate("document.body.dataset.visited = 'yes'")
        return self.page


def until(page: Page, holds: str, *, seconds: float = 10) -> None:
    """Wait until a JavaScript expression is true. Playwright's own wait is an `eval`, which the pages do not allow."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, f"not after {seconds} s: {holds}"
        page.wait_for_timeout(20)


@contextlib.contextmanager
def visit(browser: Browser, site: Path, **settings: Any) -> Iterator[Visit]:
    """A visit with `settings` of the browser context; fails in the end when there was a complaint."""
    context = browser.new_context(accept_downloads=True, **settings)
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.add_init_script(AT_REST)
    made = Visit(page, site)
    page.on("console", lambda message: made.complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: made.complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (made.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def asked(request: Any) -> None:
        inside = request.url.startswith((f"file://{site}/", f"blob:file://{site}/", "blob:null/"))
        if not inside and request.url != "about:blank":
            made.complaints.append(f"request: {request.url}")

    context.on("request", asked)
    yield made
    context.close()
    assert not made.complaints, "\n".join(made.complaints)
