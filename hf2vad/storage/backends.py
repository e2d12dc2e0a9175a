"""Storage backends by URI scheme. The only such list."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from typing import cast

from hf2vad.errors import StorageError
from hf2vad.storage.entry import Backend

BACKENDS: Mapping[str, str] = {"": "hf2vad.storage.local", "s3": "hf2vad.storage.s3"}
"""Module by the scheme of a URI, `s3` of `s3://bucket/key`; empty: local paths. It is imported when it is needed. A new
scheme is a module and a line here."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def backend_of(uri: str) -> Backend:
    """Backend of the object at `uri`. Raises StorageError for an unknown scheme."""
    match = _SCHEME.match(uri)
    scheme = match[1] if match else ""
    if scheme not in BACKENDS:
        schemes = ", ".join(f"{name}://" for name in sorted(BACKENDS) if name)
        raise StorageError(f"{uri}: no storage for {scheme}://; there are {schemes} and local paths")
    return cast(Backend, importlib.import_module(BACKENDS[scheme]))


def is_local(uri: str) -> bool:
    """True if `uri` is a path of this machine's file systems."""
    return backend_of(uri).is_local


def objects_appear_whole(uri: str) -> bool:
    """True if readers never see a partly written object, whoever writes it."""
    return backend_of(uri).objects_appear_whole


def absolute(uri: str) -> str:
    """`uri` as every process reads it: a local path does not depend on the folder that a worker was started in."""
    return os.path.abspath(uri) if uri and is_local(uri) else uri
