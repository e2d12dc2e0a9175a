"""A proxy between us and an S3 server that delays, resets, truncates and refuses at set rates."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

ERRORS = {
    "internal": (500, "InternalError", "We encountered an internal error. Please try again."),
    "unavailable": (503, "ServiceUnavailable", "Reduce your request rate."),
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "hidden": (200, "InternalError", "We encountered an internal error. Please try again."),
}


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares of requests, and what becomes of them; the rest is passed on unharmed."""

    internal: float = 0.0
    """Answered with 500 InternalError, and not passed on."""
    unavailable: float = 0.0
    """Answered with 503 ServiceUnavailable."""
    slow_down: float = 0.0
    """Answered with 503 SlowDown."""
    hidden: float = 0.0
    """Answered with 200 OK and an error in the body, as S3 does when it has begun to answer too early."""
    reset: float = 0.0
    """The connection is reset before the request is passed on."""
    lost: float = 0.0
    """Passed on; the connection is reset instead of giving the answer."""
    truncated: float = 0.0
    """Passed on; of the answer's body only half arrives."""
    delayed: float = 0.0
    """Passed on after a wait of up to `delay_s`."""
    delay_s: float = 0.5
    seed: int = 0

    @classmethod
    def evenly(cls, share: float, *, seed: int = 0) -> Faults:
        """`share` of all requests fail, each way as often."""
        each = share / 6
        return cls(
            internal=each, unavailable=each, slow_down=each, reset=each, lost=each, truncated=each, delayed=each,
            seed=seed,
        )  # fmt: skip


class FaultProxy:
    """The proxy, in a thread of its own; a context manager.


    `counts`: requests by what became of them. `asked`: by method and path, the query included. `faults` may be replaced
    while it runs.
    """

    def __init__(
        self, target: str, faults: Faults, *, seen: Callable[[bytes, float, bool], None] | None = None
    ) -> None:
        """`target`: http://host:port. `seen`: told the head of each request that was passed on and answered, the
        time.monotonic() at which it had come, and whether the answer is sent on; in the proxy's thread."""
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self.faults = faults
        self.counts: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.endpoint = ""
        self._seen = seen
        self._random = random.Random(faults.seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = started.result()
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _fault(self) -> str:
        at = self._random.random()
        for name in (*ERRORS, "reset", "lost", "truncated", "delayed"):
            at -= getattr(self.faults, name)
            if at < 0:
                return name
        return "passed"

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server, request = await asyncio.open_connection(*self._target)
            try:
                while await self._exchange(client, answer, server, request):
                    pass
            finally:
                request.close()
                answer.close()

    async def _exchange(
        self,
        client: asyncio.StreamReader,
        answer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        request: asyncio.StreamWriter,
    ) -> bool:
        """One request; returns whether the connection stays open."""
        head = await client.readuntil(b"\r\n\r\n")
        if b"expect: 100-continue" in head.lower():
            answer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:")]
            head = b"\r\n".join(kept)
        body = await _body(client, head)
        came = time.monotonic()
        fault = self._fault()
        self.counts[fault] += 1
        self.asked[head.split(b" HTTP/", 1)[0].decode(errors="replace")] += 1
        if fault in ERRORS:
            answer.write(_error(*ERRORS[fault], head.startswith(b"HEAD ")))
            await answer.drain()
            return True
        if fault == "reset":
            return _reset(answer)
        if fault == "delayed":
            await asyncio.sleep(self._random.random() * self.faults.delay_s)
        request.write(head + body)
        await request.drain()
        found = await server.readuntil(b"\r\n\r\n")
        bodiless = head.startswith(b"HEAD ") or found.split(b" ", 2)[1] in (b"204", b"304")
        content = b"" if bodiless else await _body(server, found)
        lost = fault == "lost" or (fault == "truncated" and bool(content))
        if self._seen:
            self._seen(head, came, not lost)
        if fault == "lost":
            return _reset(answer)
        if lost:
            answer.write(found + content[: len(content) // 2])
            await answer.drain()
            return False
        answer.write(found + content)
        await answer.drain()
        return True


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The bytes after a head, as they come."""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        parts = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            parts.append(line)
            if not size:
                while line != b"\r\n":
                    line = await reader.readuntil(b"\r\n")
                    parts.append(line)
                return b"".join(parts)
            parts.append(await reader.readexactly(size + 2))
    return await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _error(status: int, code: str, message: str, is_head: bool) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head if is_head else head + body


def _reset(answer: asyncio.StreamWriter) -> bool:
    """End a connection with RST."""
    found = answer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer.transport.abort()
    return False
