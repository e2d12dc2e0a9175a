"""`hf2vad review` as a process of its own, requests to it, and its pages in a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.site import ROOT, environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


POLL_MS = 5000


@dataclass
class Server:
    process: subprocess.Popen[str]
    host: str
    port: int
    path: str
    token: str

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request, sent as it is."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        with contextlib.closing(connection):
            kind = {"Content-Type": "application/json"} if body is not None else {}
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def mark(self, *numbers: int, verdict: str = "normal") -> int:
        """Status of a request with a mark for each number."""
        return self.ask("POST", f"{self.path}marks", sent(*numbers, verdict=verdict))[0]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


def sent(*numbers: int, verdict: str = "normal") -> dict[str, object]:
    rows = [
        {
            "event": f"{number:016x}", "video": "cam/1.mp4", "video_key": "00" * 8, "fingerprint": "ff",
            "start_frame": number, "end_frame": number, "start_s": 0.0, "end_s": 0.0, "verdict": verdict,
        }
        for number in numbers
    ]  # fmt: skip
    return {"hf2vad.marks": 1, "marks": rows}


@contextlib.contextmanager
def serving(site: Path | str, *options: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """A server of `site` at a free port, killed with the block if it runs then."""
    command = [sys.executable, "-m", "hf2vad", "review", str(site), "--port", "0", *options]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env={**environment(), **(env or {})}, **pipes)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"Open: http://([^/]+):(\d+)(/[^?\s]*)(?:\?token=(\w+))?", line):
                yield Server(process, "127.0.0.1", int(found[2]), found[3], found[4] or "")
                return
        raise AssertionError("".join(lines))
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def page_of(browser: Browser, url: str) -> Iterator[Page]:
    """A page in a browser of its own, whose clock can be put forward; fails when something went wrong on it."""
    context = browser.new_context()
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.clock.install()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    page.locator("body[data-ready=yes]").wait_for(state="attached")
    yield page
    context.close()
    assert not wrong


def ask_again(page: Page) -> None:
    """Let a page ask the server now for what others have changed, and send again what was not accepted."""
    page.clock.fast_forward(POLL_MS)


def left(page: Page) -> str:
    return page.locator("#triage-left").inner_text()


def url(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.port}{server.path}{name}"
