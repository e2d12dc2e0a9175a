"""The review server: a site's files as they are, its marks and its zones. It writes nothing else.

GET  <site>/…                 files of the site, and videos that it links, with ranges
GET  <site>/static/server.js  tells pages that there is a server
GET  <site>/marks             the marks that count, with an ETag
POST <site>/marks             adds marks; the answer comes when they are in storage
GET  <site>/zones             the zones of all cameras, with an ETag
POST <site>/zones             adds and removes zones of a camera; answers with all of them, once they are in storage
GET  <site>/similar?…         moments like an event's, where the server was given scores
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hf2vad import __version__, logs
from hf2vad.errors import ConfigError, Hf2vadError, NotFoundError, StorageError
from hf2vad.hashes import hash_of
from hf2vad.review.access import COOKIE, Access
from hf2vad.review.files import INDEX, ServedFiles, byte_range, content_type
from hf2vad.review.marks import parse_marks
from hf2vad.review.store import JOINED, MarkStore
from hf2vad.review.zone_store import ZoneChange, ZoneStore
from hf2vad.storage import Entry, open_read

LARGEST = 8 << 20
"""Bytes of a request's body, at most."""
BLOCK = 1 << 18
"""Bytes of a file that are read at once."""
IDLE_S = 60.0
"""Seconds after which a connection without a request is closed."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Similar = Callable[[Mapping[str, str]], Mapping[str, Any]]
"""Moments like the event that an address's query names. Raises ConfigError for one that it cannot name."""


@dataclass
class Review:
    """Files, marks, zones and access rules of the server."""

    files: ServedFiles
    store: MarkStore
    zones: ZoneStore
    access: Access
    similar: Similar | None = None
    """None: pages offer no such thing."""
    _added: int = field(default=0, init=False)
    _joining: threading.Lock = field(default_factory=threading.Lock, init=False)

    def add(self, body: bytes) -> int:
        """Put the marks of a request; returns how many. Raises ConfigError for what are none, StorageError."""
        marks = parse_marks(_json(body), now=datetime.now(UTC), where="request")
        self.store.add(marks)
        self._added += 1
        if self._added % JOINED == 0 and self._joining.acquire(blocking=False):
            try:
                self.store.join_files()
            finally:
                self._joining.release()
        return len(marks)

    def change_zones(self, body: bytes) -> dict[str, Any]:
        """Make the change of a request; returns all zones with it. Raises ConfigError for no change, StorageError."""
        return self.zones.change(ZoneChange.parse(_json(body), where="request")).to_json()

    def marks(self) -> dict[str, Any]:
        """The marks that count, as pages send them."""
        return {"hf2vad.marks": 1, "marks": [mark.to_json() for mark in self.store.marks().values()]}


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ConfigError("the request is not valid JSON") from None


class ReviewServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True

    def __init__(self, review: Review, host: str, port: int) -> None:
        """Listen at an address; port 0: any that is free. Raises ConfigError where that cannot be."""
        self.review = review
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigError(f"--host {host} --port {port}: {error.strerror or error}") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away while it is answered is no error of ours."""
        logs.event("connection lost", client=str(client_address[0]))


def serve(server: ReviewServer) -> None:
    """Answer requests until SIGTERM."""

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for serve_forever, which this thread is in

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with server:
            server.serve_forever()
    finally:
        signal.signal(signal.SIGTERM, before)


class _RefusedError(Exception):
    """A request that ends with an error status."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers or {}


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version = f"hf2vad/{__version__}"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_HEAD(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: their addresses may hold the token."""

    def _answered(self, answer: Callable[[str, Mapping[str, str]], None]) -> None:
        """Answer, or say why not. A request that is refused ends its connection: its body is not read."""
        try:
            try:
                url = urlsplit(self.path)
            except ValueError:
                raise _RefusedError(400, "not an address") from None
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if self._gives_token(query):
                return
            if refusal := self.server.review.access.refusal(self.headers, self.connection.getsockname()[0]):
                raise _RefusedError(*refusal)
            answer(url.path, query)
        except _RefusedError as refused:
            self.close_connection = True
            self._send(refused.status, f"{refused}\n".encode(), "text/plain; charset=utf-8", refused.headers)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def _gives_token(self, query: Mapping[str, str]) -> bool:
        """True if an address with the token came. The answer stores the token as a cookie and removes it from the
        address."""
        access = self.server.review.access
        if self.command != "GET" or not access.is_token(query.get("token", "")):
            return False
        cookie = f"{COOKIE}={query['token']}; Path=/; HttpOnly; SameSite=Strict"
        self._send(303, b"", "text/plain", {"Location": self.server.review.files.address + INDEX, "Set-Cookie": cookie})
        return True

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        review = self.server.review
        site = review.files.address
        if path in ("/", site):
            self._send(303, b"", "text/plain", {"Location": site + INDEX})
        elif path == f"{site}static/server.js":
            self._send_offers()
        elif path == f"{site}marks":
            self._send_kept(review.store.version, review.marks)
        elif path == f"{site}zones":
            self._send_kept(review.zones.version, lambda: review.zones.zones().to_json())
        elif path == f"{site}similar" and review.similar is not None:
            try:
                self._send_json(review.similar(query))
            except ConfigError as error:
                raise _RefusedError(404, str(error)) from None
        else:
            self._send_file(path)

    def _post(self, path: str, query: Mapping[str, str]) -> None:
        review = self.server.review
        kinds: dict[str, Callable[[bytes], Mapping[str, Any]]] = {
            f"{review.files.address}marks": lambda body: {"saved": review.add(body)},
            f"{review.files.address}zones": review.change_zones,
        }
        keep = kinds.get(path)
        if keep is None:
            raise _RefusedError(405, "only marks and zones are written", {"Allow": "GET, HEAD"})
        if self.headers.get_content_type() != "application/json":  # what a form of another site cannot send
            raise _RefusedError(415, "marks and zones are application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise _RefusedError(411, "a Content-Length is needed")
        if int(length) > LARGEST:
            raise _RefusedError(413, f"at most {LARGEST} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError
        try:
            self._send_json(keep(body))
        except ConfigError as error:
            raise _RefusedError(400, str(error)) from None
        except StorageError as error:
            raise _RefusedError(507, f"not saved: {error}") from None

    def _send_offers(self) -> None:
        """A script that tells pages what there is, with the marks, so that no card appears which is then hidden, and
        the zones."""
        review = self.server.review
        try:
            zones = review.zones.zones().to_json()
            offers = {"similar": review.similar is not None, "marks": review.marks()["marks"], "zones": zones}
        except Hf2vadError as error:
            raise _RefusedError(500, str(error)) from None
        self._send(200, f"hf2vad.server = {json.dumps(offers)};\n".encode(), content_type("server.js"))

    def _send_kept(self, version: Callable[[], Any], values: Callable[[], Mapping[str, Any]]) -> None:
        tag = f'"{hash_of(version())}"'
        if self.headers.get("If-None-Match") == tag:
            self._send(304, b"", "", {"ETag": tag})
            return
        try:
            self._send_json(values(), {"ETag": tag})
        except Hf2vadError as error:
            raise _RefusedError(500, str(error)) from None

    def _send_file(self, path: str) -> None:
        entry = self.server.review.files.find(path)
        if entry is None:
            raise _RefusedError(404, "nothing here")
        tag = f'"{hash_of(entry.version, entry.size)}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        if self.headers.get("If-None-Match") == tag:
            self._send(304, b"", "", headers)
            return
        asked = self.headers.get("Range") if self.headers.get("If-Range", tag) == tag else None
        try:
            wanted = byte_range(asked, entry.size)
        except ValueError as error:
            raise _RefusedError(416, str(error), {"Content-Range": f"bytes */{entry.size}"}) from None
        start, stop = wanted or (0, entry.size)
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
        self._send_part(entry, start, stop, 206 if wanted else 200, headers)

    def _send_part(self, entry: Entry, start: int, stop: int, status: int, headers: Mapping[str, str]) -> None:
        try:
            file = open_read(entry.uri)
        except NotFoundError:
            raise _RefusedError(404, "nothing here") from None
        with file:
            self._head(status, stop - start, content_type(entry.name), headers)
            if self.command == "HEAD":
                return
            file.seek(start)
            left = stop - start
            while left:
                try:
                    data = file.read(min(BLOCK, left))
                except StorageError:  # the answer has begun, so its end tells
                    data = b""
                if not data:
                    self.close_connection = True
                    return
                self.wfile.write(data)
                left -= len(data)

    def _send_json(self, values: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(values).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), kind, headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
