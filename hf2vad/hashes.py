"""Hashes that decide whether a result is still good: of settings, and of what a file holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hf2vad.storage import read_bytes


def hash_of(*parts: Any) -> str:
    """First 16 hex digits of the SHA-256 of some JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def content_hash(uri: str) -> str:
    """First 16 hex digits of the SHA-256 of a file; empty for no file."""
    return hashlib.sha256(read_bytes(uri)).hexdigest()[:16] if uri else ""
