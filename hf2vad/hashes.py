"""Hashes that decide whether a result is still good: of settings, and of what a file holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hf2vad.storage import read_bytes

_JSON = json.JSONEncoder(sort_keys=True)


def hash_of(*parts: Any) -> str:
    """First 16 hex digits of the SHA-256 of some JSON values."""
    return hashlib.sha256(_JSON.encode(parts).encode()).hexdigest()[:16]


def content_hash(uri: str) -> str:
    """First 16 hex digits of the SHA-256 of a file; empty for no file."""
    return hashlib.sha256(read_bytes(uri)).hexdigest()[:16] if uri else ""
