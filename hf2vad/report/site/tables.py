"""The score tables of a video that a site shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hf2vad.tables.read import VideoTables


@dataclass(frozen=True)
class Scored:
    """The tables of one video."""

    video: str
    metadata: dict[str, Any]
    """Metadata of its frame table."""
    frames: pa.Table
    events: pa.Table
    health: pa.Table

    @classmethod
    def read(cls, tables: VideoTables) -> Scored:
        """The subset of `tables` that every page shows."""
        frames, metadata = tables.described("frames")
        return cls(str(metadata["video"]), metadata, frames, tables.table("events"), tables.table("health"))
