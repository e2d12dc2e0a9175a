"""URIs and keys as text."""

from __future__ import annotations

import hashlib
import urllib.parse
from functools import lru_cache

SEGMENT_BYTES = 200
"""Longest part of a key made from a video's id; file systems end at 255."""
KEY_BYTES = 600
"""Longest such key as a whole; S3 ends at 1,024, with the prefix and what is appended."""
RESERVED = (".parquet", ".json")
"""Endings of files below a prefix. A key must not contain them, because it may become a folder beside such files."""


def join(uri: str, *parts: str) -> str:
    """`parts` below `uri`; of a folder in a store that has no name (`s3://bucket/gate//`), both slashes stay."""
    nameless = uri.partition("://")[2].endswith("//")
    folder = uri[:-1] if nameless else uri.rstrip("/")
    return "/".join([folder, *(part.strip("/") for part in parts)])


def readable(name: str) -> str:
    """A path as valid text: bytes of a local name that are not UTF-8 are shown as escapes."""
    return name if name.isascii() else name.encode(errors="backslashreplace").decode()


def key_path(video_id: str) -> str:
    """The id of a video as a key below an output prefix: one-to-one, readable, and never outside the prefix.

    Letters, digits, space and `._-+=@(),` stay as they are, and `/` where it divides parts. Other characters are
    percent-encoded, a part of dots alone too, and the last dot of a part with a reserved ending; an empty part is `%`,
    and one longer than SEGMENT_BYTES ends in `~` and a hash of the whole. Of a key longer than KEY_BYTES the last part
    is left, below `~` and a hash of the id.
    """
    parts = [_segment(part) for part in video_id.split("/")]
    key = "/".join(parts)
    return key if len(key) <= KEY_BYTES else f"~{_digest(video_id)}/{parts[-1]}"


def id_of_key(key: str) -> str | None:
    """The inverse of `key_path`: the id, or of a folder's key what ids begin with.

    None where a part was shortened: then the id is read from the metadata of a table with that key, or below it.
    """
    parts = [part_of_key(part) for part in key.split("/")]
    whole = [part for part in parts if part is not None]
    return "/".join(whole) if len(whole) == len(parts) else None


def part_of_key(part: str) -> str | None:
    """The part of an id that `key_path` made a part of a key of; None where it was shortened."""
    if "~" in part:
        return None
    return "" if part == "%" else urllib.parse.unquote(part, errors="surrogateescape")


def partition(name: str, value: str) -> str:
    """A folder `name=value` as DuckDB, Spark and pyarrow read them: the value is one part of a key, without `=`."""
    return f"{name}={_segment(value).replace('=', '%3D')}"


@lru_cache(maxsize=256)  # the folders of a listing are the same for many names
def _segment(part: str) -> str:
    if not part:
        return "%"
    encoded = urllib.parse.quote(part, safe=" +=@(),", errors="surrogateescape").replace("~", "%7E")
    if set(part) == {"."}:
        return encoded.replace(".", "%2E")
    if encoded.endswith(RESERVED):
        encoded = "%2E".join(encoded.rsplit(".", 1))
    if len(encoded) > SEGMENT_BYTES:
        return f"{encoded[: SEGMENT_BYTES - 33]}~{_digest(part)}"
    return encoded


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
