"""Locations of everything in a run, and the names, states and metadata by which later runs find it again.

    <out>/stc/<dataset>/<video>/<start>-<stop>-<state>.parquet     cubes, a file a shard; video.json once all are there
    <out>/{looks,health,done}/<dataset>/…                          what belongs to them
    <out>/bundle=<id>/{shards,looks}/<video>/<start>-<stop>-<state>.parquet    until the video is finished
    <out>/bundle=<id>/{frames,objects,events,health}/<video>.parquet           its final tables
    <out>/bundle=<id>/done/<video>.<state>                                     its mark (walk/markers.py)
    <out>/bundle=<id>/archives.json             names that ids begin with, if any do (tables/archives.py)
    <out>/bundle=<id>/failures/<video>.json, or <out>/failures/… for cubes     its failure row (walk/failures.py)
    <out>/runs/<run>.json, <run>.trace.json.gz                                 a run's record, and its trace

A state is 16 hex digits: a hash of a video's fingerprint and of what decides the content (docs/adr/0010).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.archive.zones import CameraZones
from hf2vad.errors import NotFoundError
from hf2vad.hashes import hash_of
from hf2vad.schema import SHARD, STC, unpack_metadata
from hf2vad.storage import delete, exists, join, key_path, list_dir, open_parquet, put_json, read_json
from hf2vad.video.shards import Range

ENDING = ".parquet"
"""Ending of table files."""

Metadata = Mapping[str, Any]
"""Metadata of a file: names without `hf2vad.`, and JSON values."""

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


def records_folder(out: str) -> str:
    """Folder of run records under a job's --out."""
    return join(out, "runs")


def record_uri(out: str, run: str) -> str:
    """URI of the record of `run`."""
    return join(records_folder(out), f"{run}.json")


def trace_uri(out: str, run: str) -> str:
    """URI of the trace of `run`."""
    return join(records_folder(out), f"{run}.trace.json.gz")


@dataclass(frozen=True, kw_only=True)
class RunLayout:
    """URIs, states and metadata of everything that one run puts.

    A job makes it once, and it travels to the workers. Scores and cubes have subclasses.
    """

    prefix: str
    """Folder or s3://bucket/prefix of everything but the records of runs."""
    plan: str
    """Hash of what decides the rows of a shard beside the video and its range."""
    final: str
    """Hash of what decides all final tables of a video beside the video."""

    shard_table: str = "shard"
    """Kind of a shard's table, as its metadata gives it."""
    shard_schema: pa.Schema = SHARD
    """Columns of a shard's table."""
    final_table: str = "frames"
    """Name of the final table that vouches for the others: it is put last and removed first."""
    zones: Zones = WHOLE_PICTURES
    """Zones of each camera, which count in all hashes of its videos."""

    shards_folder: ClassVar[str] = "shards"
    """Name of the folder of shards."""
    shard_format: ClassVar[Mapping[str, Any]] = {"compression": "zstd"}
    """Options of pyarrow's ParquetWriter for a shard's file."""
    keeps_shards: ClassVar[bool] = False
    """True: shards are the result; they stay, and those of another state are removed when their video is opened. False:
    shards are intermediate, and are removed when their video is finished."""
    says_rate: ClassVar[bool] = False
    """True: a shard's file has the usual rate of its video's frames in its metadata."""

    def state(self, video: Video) -> str:
        """State of `video` when it is finished, as its mark names it."""
        return hash_of(video.fingerprint, self.of_camera(self.final, video))

    def shard_state(self, video: Video) -> str:
        """State of the shards of `video`, as their names have it."""
        return hash_of(video.fingerprint, self.of_camera(self.plan, video))

    def of_camera(self, settings: str, video: Video) -> str:
        """Hash of settings (`plan`, `final`) with the zones of a video's camera; the same hash where it has none."""
        return _with_zones(settings, self.zones.of(video))

    def folder(self, kind: str) -> str:
        """URI of the folder of one kind of file: `shards`, `looks`, `done`, or the name of a final table."""
        return join(self.prefix, kind)

    @property
    def marks(self) -> str:
        """URI of the folder of marks."""
        return self.folder("done")

    def shard_folder(self, video: Video) -> str:
        """URI of the folder of the shards of `video`."""
        return join(self.folder(self.shards_folder), key_path(video.id))

    def shard_uri(self, video: Video, frames: Range) -> str:
        """URI of the shard `frames` of `video`."""
        return join(self.shard_folder(video), shard_name(frames, self.shard_state(video)))

    def stats_folder(self, video: Video) -> str:
        """URI of the folder of the frame stats of `video`, a file a shard."""
        return join(self.folder("looks"), key_path(video.id))

    def stats_uri(self, video: Video, frames: Range) -> str:
        """URI of the frame stats of the shard `frames`, by which the health of `video` is judged."""
        return join(self.stats_folder(video), shard_name(frames, self.shard_state(video)))

    def table_uri(self, table: str, video: Video) -> str:
        """URI of a final table of `video`."""
        return join(self.folder(table), key_path(video.id) + ENDING)

    def failure_uri(self, video: Video) -> str:
        """URI of the failure row of `video`."""
        return join(self.prefix, "failures", key_path(video.id) + ".json")

    @property
    def origin(self) -> dict[str, Any]:
        """Metadata of every file that names the source of its numbers, beside the video."""
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        """Metadata of every file that names the settings behind it."""
        return {"plan": self.plan}

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        """Metadata of a file about `frames` of `video`. The order of the names is part of the file's bytes."""
        source = {"video": video.id, "fingerprint": video.fingerprint, **self.origin}
        settings = {**self.settings, "plan": self.of_camera(self.plan, video)}
        zones = self.zones.of(video).to_json()
        own = {"zones": zones} if zones else {}
        return {**source, "start": frames[0], "stop": frames[1], **settings, **own}

    def final_metadata(self, video: Video, frames: Range, *, complete: bool) -> dict[str, Any]:
        """Metadata of the final table; `complete`: whether every shard has a result."""
        return {**self.metadata(video, frames), "final": self.of_camera(self.final, video), "complete": complete}

    def completion(self, video: Video) -> Metadata | None:
        """Metadata of the final table of `video` that is there, of whichever run. None where there is none."""
        uri = self.table_uri(self.final_table, video)
        return unpack_metadata(open_parquet(uri).schema_arrow, self.final_table, uri) if exists(uri) else None

    def state_of(self, completion: Metadata) -> str:
        """State in the mark of the video that `completion` is of."""
        return hash_of(completion["fingerprint"], completion["final"])

    def is_final(self, video: Video, completion: Metadata | None) -> bool:
        """True if the final tables behind `completion` are those that this run would make of `video`."""
        return completion is not None and completion["complete"] and self.state_of(completion) == self.state(video)

    def vouch(self, video: Video, shards: Sequence[Range]) -> None:
        """Put what says that `video` is complete in `shards`. Nothing to do where its final table says so."""

    def withdraw(self, video: Video) -> None:
        """Remove what says that the files of `video` are complete. To be called before any of them is replaced."""
        delete(self.table_uri(self.final_table, video))

    @property
    def about(self) -> dict[str, str]:
        """Entries of a run record about its tables."""
        return {"tables": self.prefix}


@dataclass(frozen=True, kw_only=True)
class ScoreLayout(RunLayout):
    """Score tables, below <out>/bundle=<id>."""

    bundle: str
    """Id of the bundle that scores."""
    scores: str
    """Hash of what decides the final tables of a video but for the events."""
    engine: str
    """Label of what runs the network, such as `eager fp32`. Decides no state: engines agree."""

    @property
    def origin(self) -> dict[str, Any]:
        return {"bundle": self.bundle}

    @property
    def settings(self) -> dict[str, Any]:
        return {"plan": self.plan, "engine": self.engine}

    def final_metadata(self, video: Video, frames: Range, *, complete: bool) -> dict[str, Any]:
        values = self.metadata(video, frames)
        scores, final = (self.of_camera(settings, video) for settings in (self.scores, self.final))
        return {**values, "scores": scores, "final": final, "complete": complete}

    def has_same_scores(self, video: Video, completion: Metadata) -> bool:
        """True if the final tables behind `completion` have this run's scores, whatever their events."""
        return self._scored_with(self.zones.of(video), video, completion)

    def has_more_objects(self, video: Video, completion: Metadata) -> bool:
        """True if the final tables behind `completion` have this run's scores but for objects that only its zones
        drop."""
        before = CameraZones.parse(completion.get("zones", []), where=video.id)
        return self.zones.of(video).narrows(before) and self._scored_with(before, video, completion)

    def _scored_with(self, zones: CameraZones, video: Video, completion: Metadata) -> bool:
        there = completion["fingerprint"], completion.get("scores"), completion["complete"]
        return there == (video.fingerprint, _with_zones(self.scores, zones), True)

    @property
    def about(self) -> dict[str, str]:
        return {"bundle": self.bundle, "scores": self.prefix}


@dataclass(frozen=True, kw_only=True)
class CubeLayout(RunLayout):
    """An STC table: cubes below <out>/stc/<dataset>, and beside them what belongs to them."""

    dataset: str
    """Name of the archive in the table, as a key."""
    extraction: Mapping[str, Any]
    """The settings that decide what a cube holds, as JSON."""
    left_out: Mapping[str, Any] | None
    """The health settings by which cubes of unhealthy footage are left out; none: all stay."""

    shard_table: str = field(default="stc", init=False)
    shard_schema: pa.Schema = STC

    shards_folder: ClassVar[str] = "stc"
    shard_format: ClassVar[Mapping[str, Any]] = {
        "compression": "none",
        "use_dictionary": False,
        "write_statistics": False,
    }
    keeps_shards: ClassVar[bool] = True
    says_rate: ClassVar[bool] = True

    def folder(self, kind: str) -> str:
        return join(self.prefix, kind, self.dataset)

    @property
    def table(self) -> str:
        """URI of the STC table."""
        return self.folder(self.shards_folder)

    @property
    def settings(self) -> dict[str, Any]:
        left_out = {} if self.left_out is None else {"left_out": self.left_out}
        return {"extraction": self.extraction, "plan": self.plan, **left_out}

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        """Metadata of every layout, and the archive's name if it has one, because training takes cameras from paths."""
        return super().metadata(video, frames) | ({"archive": video.source} if video.source else {})

    def completion(self, video: Video) -> Metadata | None:
        uri = self._description(video)
        return {"final": (row := read_json(uri))["plan"], **row, "complete": True} if exists(uri) else None

    def vouch(self, video: Video, shards: Sequence[Range]) -> None:
        plan, final = (self.of_camera(settings, video) for settings in (self.plan, self.final))
        row = {"video": video.id, "fingerprint": video.fingerprint, "plan": plan}
        row |= {"final": final} if final != plan else {}  # of a sample
        put_json(self._description(video), {**row, "shards": [list(frames) for frames in shards]})

    def withdraw(self, video: Video) -> None:
        delete(self._description(video))

    @property
    def about(self) -> dict[str, str]:
        return {"table": self.table}

    def _description(self, video: Video) -> str:
        """URI of the JSON that names the shards of a complete video."""
        return join(self.shard_folder(video), "video.json")


def _with_zones(settings: str, zones: CameraZones) -> str:
    return hash_of(settings, zones.key) if zones.key else settings
