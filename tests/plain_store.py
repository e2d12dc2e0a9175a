"""A small S3 store that keeps keys as they are, empty parts among them, and refuses to give some of them."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

DATE = "2026-11-01T00:00:00.000Z"
_FOUND = f"<Contents><Key>%s</Key><LastModified>{DATE}</LastModified><ETag>%s</ETag><Size>%d</Size></Contents>"


@contextlib.contextmanager
def plain_store(objects: Mapping[str, bytes], denied: Collection[str] = ()) -> Iterator[dict[str, str]]:
    """Serve `objects`, by key, from any bucket; yields the environment in which they are found."""

    class Handler(_Handler):
        kept, refused = objects, frozenset(denied)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: Mapping[str, bytes]
    refused: frozenset[str]

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(url.path).lstrip("/").partition("/")[2]
        if not key:
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            self._answer(200, self._listing(query.get("prefix", ""), query.get("delimiter", "")))
        elif key in self.refused:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif key not in self.kept:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._object(self.kept[key])

    do_HEAD = do_GET  # noqa: N815

    def _object(self, body: bytes) -> None:
        known = {"ETag": _etag(body), "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if not wanted:
            self._answer(200, body, known)
            return
        first, _, last = wanted.split("=")[1].partition("-")
        start, stop = int(first), min(int(last or len(body) - 1), len(body) - 1) + 1
        self._answer(206, body[start:stop], {**known, "Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})

    def _listing(self, prefix: str, delimiter: str) -> bytes:
        files, folders = [], dict[str, None]()
        for key in sorted(key for key in self.kept if key.startswith(prefix)):
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders[prefix + rest[: rest.index(delimiter) + 1]] = None
            else:
                files.append(_FOUND % (escape(key), escape(_etag(self.kept[key])), len(self.kept[key])))
        below = [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders]
        count = f"<KeyCount>{len(files) + len(below)}</KeyCount><IsTruncated>false</IsTruncated>"
        text = f"<ListBucketResult><Prefix>{escape(prefix)}</Prefix>{count}{''.join(files + below)}</ListBucketResult>"
        return f'<?xml version="1.0"?>{text}'.encode()

    def _answer(self, code: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'
