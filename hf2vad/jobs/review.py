"""Serve a review site to browsers, and keep what people mark and draw in it.

Example:
    hf2vad review found                                   # what hf2vad run has made
    hf2vad review demo/report --archive demo/archive/test
    hf2vad review s3://vad/review/2026-11-24 --host 0.0.0.0 --port 8600

Open the address that it prints; Ctrl-C ends it. It writes nothing but marks and zones, to <site>/reviews/, and answers
when they are in storage: several servers and browsers may work on one site at once. Other machines are let in with
--host, and then only with the token that stands in the printed address; put a proxy with TLS before it on a network
that others can listen to. Marks or zones that a site without a server has saved are added with --load marks.json.

Exit code: 0 ended by Ctrl-C or SIGTERM, 2 usage, or a place that cannot be used.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf2vad.commandline import EXIT_OK, Job
from hf2vad.errors import NotFoundError
from hf2vad.plurals import count_words
from hf2vad.progress import doing
from hf2vad.settings import require

if TYPE_CHECKING:
    from hf2vad.review.server import ReviewServer
    from hf2vad.review.store import MarkStore
    from hf2vad.review.zone_store import ZoneStore

TOKEN_LENGTH = 16
"""Characters of a token that somebody chooses, at least."""


@dataclass(frozen=True, kw_only=True)
class ReviewServerJob:
    """Settings of `hf2vad review`."""

    site: str
    """Folder or s3://bucket/prefix of the site: the --out of `hf2vad run` or `hf2vad report`."""

    archive: tuple[str, ...] = ()
    """Folders or videos that the site links (`--media link`), so that they can be played. None: those that `hf2vad run`
    has noted in the site's folder."""

    reviews: str = ""
    """Folder or s3://bucket/prefix of the marks, with the zones in zones/ there; empty: reviews/ in the site."""

    scores: tuple[str, ...] = ()
    """Scores with vectors (--vectors of scoring and backfill), of all cameras and nights in which pages may look for
    more like an event; they take 84 bytes of memory an object."""

    load: tuple[str, ...] = ()
    """Files of marks or zones that pages without a server have saved, to be added first."""

    host: str = "127.0.0.1"
    """Address to listen at. One that other machines reach asks everybody for the token."""

    port: int = 8600
    """0: any that is free."""

    hosts: tuple[str, ...] = ()
    """Further names under which browsers may reach it, such as that of a proxy before it."""

    token: str = ""
    """Token that browsers must send, at least 16 characters. If empty, a new one is made if other machines can reach
    the server, and none otherwise."""

    def __post_init__(self) -> None:
        require(0 <= self.port < 65536, f"--port must lie between 0 and 65535, got {self.port}")
        require(
            not self.token or (len(self.token) >= TOKEN_LENGTH and self.token.isascii() and self.token.isalnum()),
            f"--token must be at least {TOKEN_LENGTH} letters and digits",
        )


def review_job(job: ReviewServerJob) -> int:
    """Serve until told to stop; returns the exit code."""
    from hf2vad.review.server import serve

    server = open_server(job)
    token = server.review.access.token
    name = f"[{job.host}]" if ":" in job.host else job.host
    address = f"http://{name}:{server.server_address[1]}{server.review.files.address}"
    if (loaded := server.review.store.join_files()) > 0:
        print(f"joined into one: {count_words(loaded, 'file')} of marks")
    print(f"marked so far: {count_words(len(_marked(server)), 'event')}; marks go to {server.review.store.uri}")
    with contextlib.suppress(KeyboardInterrupt):
        print(f"Open: {address}{f'?token={token}' if token else ''}", flush=True)
        doing("Serving; Ctrl-C ends it")
        serve(server)
    return EXIT_OK


def open_server(job: ReviewServerJob) -> ReviewServer:
    """The server, listening, with the marks of `load` added. Raises ConfigError, and what the places raise."""
    from hf2vad.review.access import LOOPBACK, Access, is_loopback
    from hf2vad.review.files import INDEX, ServedFiles
    from hf2vad.review.server import Review, ReviewServer
    from hf2vad.review.similar import SimilarEvents
    from hf2vad.review.store import FOLDER, MarkStore
    from hf2vad.review.zone_store import FOLDER as ZONES
    from hf2vad.review.zone_store import ZoneStore
    from hf2vad.storage import absolute, find_file, join

    site = absolute(job.site).rstrip("/")
    if find_file(join(site, INDEX)) is None:
        raise NotFoundError(f"{job.site}: no review site there (no {INDEX}); hf2vad run and hf2vad report make one")
    token = job.token or ("" if is_loopback(job.host) else secrets.token_hex(TOKEN_LENGTH))
    hosts = {*LOOPBACK, *job.hosts, job.host.lower(), socket.gethostname().lower()}
    archives = tuple(map(absolute, job.archive)) or _noted_archives(site)
    store = MarkStore(absolute(job.reviews) if job.reviews else join(site, FOLDER))
    zones = ZoneStore(join(store.uri, ZONES))
    for uri in job.load:
        _load(uri, store, zones)
    similar = SimilarEvents(job.scores) if job.scores else None
    review = Review(ServedFiles(site, archives), store, zones, Access(token, hosts), similar)
    return ReviewServer(review, job.host, job.port)


def _load(uri: str, store: MarkStore, zones: ZoneStore) -> None:
    """Add the marks or zones of a file that a page has saved. Raises ConfigError for another file."""
    from hf2vad.archive.zone_map import Zones
    from hf2vad.review.marks import parse_file
    from hf2vad.storage import absolute, read_bytes

    data = read_bytes(absolute(uri))
    if b'"hf2vad.zones"' in data:
        zones.add_all(Zones.parse(data, where=uri))
    else:
        store.add(parse_file(data, where=uri))


def _marked(server: ReviewServer) -> list[str]:
    return [mark.event for mark in server.review.store.marks().values() if mark.verdict]


def _noted_archives(site: str) -> tuple[str, ...]:
    """The paths that `hf2vad run` has noted in its result; none in another site, and none of another place."""
    import tomllib

    from hf2vad.storage import is_local, join, read_bytes

    try:
        noted = tomllib.loads(read_bytes(join(site, "hf2vad.toml")).decode())
    except (NotFoundError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ()
    paths = noted.get("paths", [])
    return tuple(str(path) for path in paths if is_local(str(path)) == is_local(site))


SHOWN = ("archive", "scores", "load", "host", "port", "hosts", "reviews")
JOB = Job("review", ReviewServerJob, review_job, __doc__, shown=SHOWN, reads="site")
