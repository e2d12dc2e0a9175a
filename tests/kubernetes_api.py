"""As much of the Kubernetes API as the nightly submitter meets, over TLS, with the rights that its Role gives.

No API server is to be had as a package, so this is written from the API's documentation: paths, verbs, status codes.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERBS = {"GET": "get", "POST": "create"}
PREFIX = "/apis/ray.io/v1/namespaces/hf2vad/rayjobs"


class Api:
    """What the server knows and was asked."""

    def __init__(self, token: str, rights: list[dict[str, Any]]) -> None:
        """`rights`: the rules of a Role."""
        self.token = token
        self.rights = rights
        self.objects: dict[str, dict[str, Any]] = {}
        self.statuses: list[dict[str, str]] = []
        """What becomes of a RayJob that was made: its status at each look, the last one for good."""
        self.down = 0
        """Requests that are not answered, from the second look on."""
        self.looks = 0
        self.asked: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, token: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Status code and object."""
        self.asked.append((method, path))
        if token != f"Bearer {self.token}":
            return 401, {"reason": "Unauthorized"}
        allowed = any(
            VERBS[method] in rule["verbs"] and "rayjobs" in rule["resources"] and "ray.io" in rule["apiGroups"]
            for rule in self.rights
        )
        if not path.startswith(PREFIX) or not allowed:
            return 403, {"reason": "Forbidden"}
        if method == "POST":
            assert body is not None
            if body["metadata"]["name"] in self.objects:
                return 409, {"reason": "AlreadyExists"}
            self.objects[body["metadata"]["name"]] = body
            return 201, body
        found = self.objects.get(path.removeprefix(f"{PREFIX}/"))
        if found is None:
            return 404, {"reason": "NotFound"}
        if found["spec"]["suspend"]:
            return 200, found
        self.looks += 1
        return 200, {**found, "status": self.statuses[min(self.looks, len(self.statuses)) - 1]}


@contextmanager
def serving(api: Api, certificate: tuple[Path, Path], account: Path) -> Iterator[dict[str, str]]:
    """Serve `api`; writes what a pod finds of its service account to `account`, and yields its environment."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            if api.down and api.looks:
                api.down -= 1
                self.close_connection = True
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, found = api.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    account.mkdir(exist_ok=True)
    (account / "ca.crt").write_bytes(certificate[0].read_bytes())
    (account / "namespace").write_text("hf2vad")
    (account / "token").write_text(api.token)
    try:
        yield {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_address[1])}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
