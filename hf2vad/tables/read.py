"""The score tables of a run, video by video."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hf2vad.archive.sources import split_id
from hf2vad.errors import EvaluationError, NotFoundError
from hf2vad.schema import unpack_metadata
from hf2vad.storage import join, list_dir, list_files, open_parquet, read_table
from hf2vad.tables.archives import archive_names


def scores_prefix(uri: str) -> str:
    """The `bundle=<id>` folder at or under `uri`.

    Raises EvaluationError when there is none, or more than one to choose from.
    """
    if uri.rstrip("/").rsplit("/", 1)[-1].startswith("bundle="):
        return uri.rstrip("/")
    found = [entry.name for entry in list_dir(uri) if entry.is_dir and entry.name.startswith("bundle=")]
    if not found:
        raise EvaluationError(f"{uri}: no scores there (no bundle=<id> folder); jobs/score_archive.py makes them")
    if len(found) > 1:
        raise EvaluationError(f"{uri}: scores of {len(found)} bundles; name one of them: {', '.join(found)}")
    return join(uri, found[0])


@dataclass(frozen=True)
class VideoScores:
    """Where the tables of one video are."""

    video: str
    """Its id."""
    path: str
    """Its path in its archive."""
    metadata: dict[str, Any]
    """What its frame table says of itself: bundle, smoothing, thresholds, size …"""
    prefix: str
    key: str

    def table(self, name: str) -> pa.Table:
        """`frames`, `objects` or `events`."""
        return read_table(join(self.prefix, name, self.key))


def scored_videos(prefix: str) -> Iterator[VideoScores]:
    """The videos with a frame table, sorted by key. Raises EvaluationError when there is none."""
    folder = join(prefix, "frames")
    names = archive_names(prefix)
    try:
        for entry in list_files(folder, ".parquet"):
            metadata = unpack_metadata(open_parquet(entry.uri).schema_arrow, "frames", entry.uri)
            video = metadata["video"]
            yield VideoScores(video, split_id(video, names)[1], metadata, prefix, entry.name)
    except NotFoundError:
        raise EvaluationError(f"{prefix}: no frame table there; jobs/score_archive.py makes them") from None


def stem(video: str) -> str:
    """A video's id without the ending of its file name."""
    return os.path.splitext(video)[0]


def name_in(known: Collection[str], video: str) -> str | None:
    """What ground truth calls a video: its id, or its id without the ending; none where it knows neither."""
    return next((name for name in (video, stem(video)) if name in known), None)
