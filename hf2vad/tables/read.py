"""The score tables of a run, video by video: what evaluation, the review site and evidence read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from hf2vad.archive.archive_refs import split_id
from hf2vad.archive.catalog import EVERYTHING
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import EvaluationError, NotFoundError
from hf2vad.schema import TABLES, unpack_metadata
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.storage import join, list_dir, list_files, open_parquet, read_json, read_table, readable
from hf2vad.tables.archives import archive_names
from hf2vad.tables.keys import TableTree
from hf2vad.tables.layout import ENDING


def scores_prefix(uri: str) -> str:
    """The `bundle=<id>` folder at or under `uri`.

    Raises EvaluationError when there is none, or more than one to choose from.
    """
    if uri.rstrip("/").rsplit("/", 1)[-1].startswith("bundle="):
        return uri.rstrip("/")
    names = [entry.name for entry in list_dir(uri) if entry.is_dir and entry.name.startswith("bundle=")]
    if not names:
        raise EvaluationError(f"{uri}: no scores there (no bundle=<id> folder); hf2vad score makes them")
    if len(names) > 1:
        raise EvaluationError(f"{uri}: scores of {len(names)} bundles; name one of them: {', '.join(names)}")
    return join(uri, names[0])


@dataclass(frozen=True)
class VideoTables:
    """The score tables of one video, each read when it is asked for."""

    prefix: str
    """<out>/bundle=<id>."""
    key: str
    """Path of each table below the folder of its kind."""
    archives: Collection[str] = ()
    """Names that its id may begin with."""

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the frame table: bundle, smoothing, thresholds, size … Reads only its footer."""
        where = self.uri("frames")
        return unpack_metadata(open_parquet(where).schema_arrow, "frames", where)

    @property
    def video(self) -> str:
        """Id of the video."""
        return str(self.metadata["video"])

    @property
    def path(self) -> str:
        """Path in its archive."""
        return split_id(self.video, self.archives)[1]

    @property
    def smoothing(self) -> SmoothingRule:
        """How its scores were smoothed."""
        frames, fps = self.metadata.get("smoothing_rule", (self.metadata["smoothing"], 0.0))
        return SmoothingRule(int(frames), float(fps), self.metadata.get("smoothing_ends", "repeated"))

    def events(self, config: EventConfig) -> EventConfig:
        """`config` with lengths in frames of this video, as scoring counts them."""
        return config.at_rate(self.smoothing, self.metadata.get("fps", 0.0))

    def uri(self, name: str) -> str:
        """URI of the table `name`."""
        return join(self.prefix, name, self.key)

    def table(self, name: str) -> pa.Table:
        """The table `frames`, `objects`, `events` or `health`; a release that knew no health has put an empty one.

        Raises NotFoundError where it is not there.
        """
        try:
            return read_table(self.uri(name))
        except NotFoundError:
            if name != "health":
                raise
            return TABLES[name].empty_table()

    def described(self, name: str) -> tuple[pa.Table, dict[str, Any]]:
        """A table, and what it says of itself, in one read."""
        table = self.table(name)
        return table, unpack_metadata(table.schema, name, self.uri(name))


def video_tables(
    prefix: str, table: str, scope: PathFilter = EVERYTHING, archives: Collection[str] | None = None
) -> Iterator[VideoTables]:
    """The videos that have a table of the kind `table` and can be in `scope`, sorted by key.

    `archives`: names that ids of videos may begin with; None: those that the prefix says. Raises NotFoundError where
    there is no table of the kind.
    """
    names = archive_names(prefix) if archives is None else archives
    everything = scope == EVERYTHING
    keys = _all_keys(join(prefix, table)) if everything else TableTree(prefix, table, names).keys(scope)
    yield from (VideoTables(prefix, key, names) for key in keys)


def scored_videos(
    prefix: str, scope: PathFilter = EVERYTHING, archives: Collection[str] | None = None
) -> Iterator[VideoTables]:
    """The videos with a frame table, as `video_tables`. Raises EvaluationError where there is none at all."""
    try:
        yield from video_tables(prefix, "frames", scope, archives)
    except NotFoundError:
        raise EvaluationError(f"{prefix}: no frame table there; hf2vad score makes them") from None


def failure_rows(
    prefix: str, scope: PathFilter = EVERYTHING, archives: Collection[str] = ()
) -> Iterator[dict[str, str]]:
    """Video and reason of each failure row of `scope`, as valid text."""
    try:
        for entry in list_files(join(prefix, "failures"), ".json"):
            row = read_json(entry.uri)
            video = str(row.get("video", entry.name))
            if scope.holds(split_id(video, archives)[1]):
                yield {"video": readable(video), "reason": readable(str(row.get("reason", "")))}
    except NotFoundError:
        return


def _all_keys(folder: str) -> Iterator[str]:
    return (entry.name for entry in list_files(folder, ENDING))


def stem(video: str) -> str:
    """A video's id without the ending of its file name."""
    return os.path.splitext(video)[0]


def name_in(names: Collection[str], video: str) -> str | None:
    """Name of a video in the ground truth: its id, or its id without the ending. None if `names` has neither."""
    return next((name for name in (video, stem(video)) if name in names), None)
