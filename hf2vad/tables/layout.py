"""Where everything of a run lies, and the names, states and metadata by which later runs find it again.

    <out>/stc/<dataset>/<video>/<start>-<stop>-<state>.parquet     cubes, a file a shard; video.json once all are there
    <out>/{looks,health,done}/<dataset>/…                          what belongs to them
    <out>/bundle=<id>/{shards,looks}/<video>/<start>-<stop>-<state>.parquet    until the video is finished
    <out>/bundle=<id>/{frames,objects,events,health}/<video>.parquet           its final tables
    <out>/bundle=<id>/done/<video>.<state>                                     its mark (walk/markers.py)
    <out>/bundle=<id>/failures/<video>.json, or <out>/failures/… for cubes     its failure row (walk/failures.py)
    <out>/runs/<run>.json, <run>.trace.json.gz                                 a run's record, and its trace

Names carry state (docs/adr/0010): a state is a hash of a video's fingerprint and of what decides the content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import Range
from hf2vad.errors import NotFoundError
from hf2vad.hashes import hash_of
from hf2vad.schema import SHARD, STC, unpack_metadata
from hf2vad.storage import delete, exists, join, key_path, list_dir, open_parquet, put_json, read_json

ENDING = ".parquet"
"""What the files of tables end in."""

Metadata = Mapping[str, Any]
"""What a file says of itself."""

_SHARD = re.compile(r"(\d{8,})-(\d{8,})(?:-([0-9a-f]{16}))?\.parquet")


def shard_name(frames: Range, state: str) -> str:
    """File name of the shard `frames`."""
    return f"{frames[0]:08d}-{frames[1]:08d}-{state}{ENDING}"


def list_shards(folder: str) -> Iterator[tuple[str, Range, str]]:
    """URI, frames and state of each shard's file in `folder`; the state is empty in names of older releases."""
    try:
        for entry in list_dir(folder):
            if not entry.is_dir and (name := _SHARD.fullmatch(entry.name)):
                yield entry.uri, (int(name[1]), int(name[2])), name[3] or ""
    except NotFoundError:
        return


def record_uri(out: str, run: str) -> str:
    """Where the record of the run `run` is, under a job's --out."""
    return join(out, "runs", f"{run}.json")


def trace_uri(out: str, run: str) -> str:
    """Where the trace of the run `run` is."""
    return join(out, "runs", f"{run}.trace.json.gz")


@dataclass(frozen=True, kw_only=True)
class RunLayout:
    """Where a walk puts what it makes of each video, and what decides whether that is still good.

    Made once by the job, and passed down to its workers. A subclass says what is particular to its tables.
    """

    prefix: str
    """Folder that holds everything but the records of runs."""
    plan: str
    """Hash of what decides the rows of a shard beside the video and its range."""
    final: str
    """Hash of what decides all final tables of a video beside the video."""

    shards_folder: ClassVar[str] = "shards"
    """Name of the folder of shards."""
    shard_table: ClassVar[str] = "shard"
    """What a shard's table is called in its metadata."""
    shard_schema: ClassVar[pa.Schema] = SHARD
    """Columns of a shard's table."""
    shard_format: ClassVar[Mapping[str, Any]] = {"compression": "zstd"}
    """How a shard's Parquet file is written: options of pyarrow's ParquetWriter."""
    keeps_shards: ClassVar[bool] = False
    """Whether the shards themselves are the result: they then stay, and those of another state are removed when their
    video is opened. Otherwise they are removed when it is finished."""
    final_table: ClassVar[str] = "frames"
    """The final table that vouches for the others: put last, and removed first."""

    def state(self, video: Video) -> str:
        """State of the finished `video`: 16 hex digits, in its mark."""
        return hash_of(video.fingerprint, self.final)

    def shard_state(self, video: Video) -> str:
        """State of the shards of `video`: 16 hex digits, in their names."""
        return hash_of(video.fingerprint, self.plan)

    def folder(self, kind: str) -> str:
        """Where files of a kind are: `shards`, `looks`, `done`, or the name of a final table."""
        return join(self.prefix, kind)

    @property
    def marks(self) -> str:
        """Where the marks of finished videos are."""
        return self.folder("done")

    def shard_folder(self, video: Video) -> str:
        """Where the shards of `video` are."""
        return join(self.folder(self.shards_folder), key_path(video.id))

    def shard_uri(self, video: Video, frames: Range) -> str:
        """Where the shard `frames` of `video` is."""
        return join(self.shard_folder(video), shard_name(frames, self.shard_state(video)))

    def stats_folder(self, video: Video) -> str:
        """Where the frame stats of the shards of `video` are."""
        return join(self.folder("looks"), key_path(video.id))

    def stats_uri(self, video: Video, frames: Range) -> str:
        """Where the frame stats of the shard `frames` are, which the video's health is judged by."""
        return join(self.stats_folder(video), shard_name(frames, self.shard_state(video)))

    def table_uri(self, table: str, video: Video) -> str:
        """Where a final table of `video` is."""
        return join(self.folder(table), key_path(video.id) + ENDING)

    def failure_uri(self, video: Video) -> str:
        """Where the failure row of `video` is."""
        return join(self.prefix, "failures", key_path(video.id) + ".json")

    @property
    def origin(self) -> dict[str, Any]:
        """What a file says of where its numbers come from beside the video."""
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        """What a file says of the settings behind it."""
        return {"plan": self.plan}

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        """What a file about `frames` of `video` says of itself; the order of the names is part of its bytes."""
        source = {"video": video.id, "fingerprint": video.fingerprint, **self.origin}
        return {**source, "start": frames[0], "stop": frames[1], **self.settings}

    def final_metadata(self, video: Video, frames: Range, *, complete: bool) -> dict[str, Any]:
        """What the table that vouches for `video` says of itself; `complete`: whether no frame has failed."""
        return {**self.metadata(video, frames), "final": self.final, "complete": complete}

    def completion(self, video: Video) -> Metadata | None:
        """What is said of the final tables of `video` that are there, by whichever run; none where there are none."""
        uri = self.table_uri(self.final_table, video)
        return unpack_metadata(open_parquet(uri).schema_arrow, self.final_table, uri) if exists(uri) else None

    def state_of(self, completion: Metadata) -> str:
        """State of the finished video that `completion` is said of."""
        return hash_of(completion["fingerprint"], completion["final"])

    def is_final(self, video: Video, completion: Metadata | None) -> bool:
        """Whether the final tables of `video`, of which `completion` is said, are what this run would make."""
        return completion is not None and completion["complete"] and self.state_of(completion) == self.state(video)

    def vouch(self, video: Video, shards: Sequence[Range]) -> None:
        """Say that `video` is complete in `shards`, where its final table does not say so itself."""

    def withdraw(self, video: Video) -> None:
        """Remove what vouches for the files of `video`, before any of them is replaced."""
        delete(self.table_uri(self.final_table, video))

    @property
    def about(self) -> dict[str, str]:
        """What a run's record says of where its tables are."""
        return {"tables": self.prefix}


@dataclass(frozen=True, kw_only=True)
class ScoreLayout(RunLayout):
    """Score tables: everything below <out>/bundle=<id>."""

    bundle: str
    """Id of the bundle that scores."""
    scores: str
    """Hash of what decides the final tables of a video but for the events."""
    engine: str
    """Label of what runs the network. Engines agree, so it is told, and decides no state."""

    @property
    def origin(self) -> dict[str, Any]:
        return {"bundle": self.bundle}

    @property
    def settings(self) -> dict[str, Any]:
        return {"plan": self.plan, "engine": self.engine}

    def final_metadata(self, video: Video, frames: Range, *, complete: bool) -> dict[str, Any]:
        values = self.metadata(video, frames)
        return {**values, "scores": self.scores, "final": self.final, "complete": complete}

    def has_same_scores(self, video: Video, completion: Metadata) -> bool:
        """Whether the final tables that are there differ from this run's at most in where events start and end."""
        there = completion["fingerprint"], completion.get("scores"), completion["complete"]
        return there == (video.fingerprint, self.scores, True)

    @property
    def about(self) -> dict[str, str]:
        return {"bundle": self.bundle, "scores": self.prefix}


@dataclass(frozen=True, kw_only=True)
class CubeLayout(RunLayout):
    """An STC table: the cubes of a dataset below <out>/stc/<dataset>, and what belongs to them beside it."""

    dataset: str
    """Name of the archive in the table, as a key."""
    extraction: Mapping[str, Any]
    """The settings that decide what a cube holds, as JSON."""
    left_out: Mapping[str, Any] | None
    """The health settings by which cubes of unhealthy footage are left out; none: all stay."""

    shards_folder: ClassVar[str] = "stc"
    shard_table: ClassVar[str] = "stc"
    shard_schema: ClassVar[pa.Schema] = STC
    shard_format: ClassVar[Mapping[str, Any]] = {
        "compression": "none",
        "use_dictionary": False,
        "write_statistics": False,
    }
    keeps_shards: ClassVar[bool] = True

    def folder(self, kind: str) -> str:
        return join(self.prefix, kind, self.dataset)

    @property
    def table(self) -> str:
        """Where the STC table is."""
        return self.folder(self.shards_folder)

    @property
    def settings(self) -> dict[str, Any]:
        left_out = {} if self.left_out is None else {"left_out": self.left_out}
        return {"extraction": self.extraction, "plan": self.plan, **left_out}

    def completion(self, video: Video) -> Metadata | None:
        uri = self._description(video)
        return {**(row := read_json(uri)), "final": row["plan"], "complete": True} if exists(uri) else None

    def vouch(self, video: Video, shards: Sequence[Range]) -> None:
        row = {"video": video.id, "fingerprint": video.fingerprint, "plan": self.plan}
        put_json(self._description(video), {**row, "shards": [list(frames) for frames in shards]})

    def withdraw(self, video: Video) -> None:
        delete(self._description(video))

    @property
    def about(self) -> dict[str, str]:
        return {"table": self.table}

    def _description(self, video: Video) -> str:
        """Where it is said which files a complete video has."""
        return join(self.shard_folder(video), "video.json")
