"""URIs and keys as text."""

from __future__ import annotations

import hashlib
import os
import urllib.parse

SEGMENT_BYTES = 200
"""Longest part of a key made from a video's id; file systems end at 255."""


def is_s3(uri: str) -> bool:
    """Whether `uri` is in S3; everything else is a local path."""
    return uri.startswith("s3://")


def join(uri: str, *parts: str) -> str:
    """`parts` below `uri`."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def absolute(uri: str) -> str:
    """`uri` as every process reads it: a local path does not depend on the folder that a worker was started in."""
    return os.path.abspath(uri) if uri and not is_s3(uri) else uri


def readable(name: str) -> str:
    """A path as valid text: bytes of a local name that are not UTF-8 are shown as escapes."""
    return name.encode(errors="backslashreplace").decode()


def key_path(video_id: str) -> str:
    """The id of a video as a key below an output prefix: one-to-one, readable, and never outside the prefix.

    Letters, digits, space and `._-+=@(),` stay as they are, and `/` where it divides parts. Other characters are
    percent-encoded, a part of dots alone too; an empty part is `%`, and one longer than SEGMENT_BYTES ends in `~` and a
    hash of the whole.
    """
    return "/".join(_segment(part) for part in video_id.split("/"))


def _segment(part: str) -> str:
    if not part:
        return "%"
    encoded = urllib.parse.quote(part, safe=" +=@(),", errors="surrogateescape").replace("~", "%7E")
    if set(part) == {"."}:
        return encoded.replace(".", "%2E")
    if len(encoded) > SEGMENT_BYTES:
        digest = hashlib.sha256(part.encode(errors="surrogateescape")).hexdigest()[:32]
        return f"{encoded[: SEGMENT_BYTES - 33]}~{digest}"
    return encoded
