"""Who may ask the review server for what.

Any page that a browser has open may send requests to a server on the same machine, and may even have its own name lead
there. So a request must name this server as its host, must not come from a page of another, and, where others than this
machine can reach the server, must bring a token.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from hf2vad.errors import ConfigError

COOKIE = "hf2vad-review"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Access:
    """The rules of one server."""

    token: str = field(default="", repr=False)
    """Token that requests must bring, as a cookie or as `Authorization: Bearer`. Empty: none."""
    hosts: Collection[str] = LOOPBACK
    """Names under which it may be asked, without ports."""

    def refusal(self, headers: Message[str, str], address: str) -> tuple[int, str] | None:
        """Status and reason with which a request is refused; None: it is not.

        headers: of the request. address: IP address at which it arrived, which it may
        name as its host.
        """
        host = headers.get("Host", "")
        if _name(host) not in {*self.hosts, address}:
            return 421, "this server has another name; start it with --hosts to give it this one"
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "a page of another site must not ask"
        # Data are scripts, which a page of any site may load: only an address that somebody follows may come from one.
        foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) != ("navigate", "document"):
            return 403, "a page of another site must not ask"
        if self.token and not self._has_token(headers):
            return 401, "open the address with its token that the server has printed"
        return None

    def is_token(self, given: str) -> bool:
        """True if `given` is the token. Takes the same time for any wrong token."""
        return bool(self.token) and secrets.compare_digest(given.encode(), self.token.encode())

    def _has_token(self, headers: Message[str, str]) -> bool:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self.is_token(cookie.value)


def is_loopback(host: str) -> bool:
    """True if only this machine can reach an address. Raises ConfigError for a name that cannot be resolved."""
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ConfigError(f"--host {host}: {error.strerror or error}") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def _name(host: str) -> str:
    """The name in a Host header, in lower case, without port and brackets; empty for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
