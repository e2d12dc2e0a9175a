"""The files that the review server shows: those of the site, and videos of archives that its pages link by a path.

Pages name a linked video by its path from the site, such as `../cameras/gate.mp4`. So the server's addresses mirror the
folders: the site and the archives lie below its root as they lie below the folder that they have in common.
"""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from urllib.parse import quote, unquote_to_bytes

from hf2vad.errors import ConfigError
from hf2vad.storage import Entry, find_file, is_local

INDEX = "index.html"
VIDEOS = (".mp4", ".webm")
"""Endings of an archive's files that are served: files that browsers play."""
TYPES = {".js": "text/javascript", ".webp": "image/webp", ".woff2": "font/woff2"}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class ServedFiles:
    """A site and the archives that it links."""

    site: str
    """Absolute URI of the site's folder."""
    archives: Sequence[str] = ()
    """Absolute URIs of folders or single videos."""

    def __post_init__(self) -> None:
        if any(is_local(uri) != is_local(self.site) for uri in self.archives):
            raise ConfigError(f"pages in {self.site} cannot link videos of {', '.join(self.archives)}")

    @property
    def address(self) -> str:
        """Path of the site's folder in the server's addresses, with slashes around it."""
        below = self._real(self.site).removeprefix(self._common).strip("/")
        return f"/{quote(below, errors='surrogateescape')}/" if below else "/"

    def find(self, path: str) -> Entry | None:
        """The file at the path of an address; None for none, and for any that is neither the site's nor a video of an
        archive: outside the folders, also by a link, or hidden."""
        parts = os.fsdecode(unquote_to_bytes(path)).strip("/").split("/")
        if any(part.startswith(".") or not part or "\0" in part or "\\" in part for part in parts):
            return None
        uri = self._real(f"{self._common.rstrip('/')}/{'/'.join(parts)}")
        if self._is_below(uri, self.site) or (
            uri.lower().endswith(VIDEOS) and any(self._is_below(uri, archive) for archive in self.archives)
        ):
            return find_file(uri)
        return None

    @cached_property
    def _common(self) -> str:
        """The folder that the site and all archives lie in, without a slash at its end."""
        roots = [self._real(self.site), *(self._real(archive) for archive in self.archives)]
        scheme = "" if is_local(self.site) else self.site.split("://", 1)[0] + "://"
        paths = [root.removeprefix(scheme).split("/") for root in roots]
        shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
        return scheme + "/".join(parts[0] for parts in shared)

    @staticmethod
    def _real(uri: str) -> str:
        return os.path.realpath(uri) if is_local(uri) else uri.rstrip("/")

    def _is_below(self, uri: str, folder: str) -> bool:
        real = self._real(folder)
        return uri == real or uri.startswith(real.rstrip("/") + "/")


def content_type(name: str) -> str:
    """The media type of a file by its name."""
    ending = os.path.splitext(name)[1].lower()
    kind = TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, of a Range header; None for all of the file: without a header, and for
    forms that need not be answered, such as several ranges.

    Raises ValueError for a range that the file does not have.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if start >= stop:
        raise ValueError(f"no bytes {header} of {size}")
    return start, stop
