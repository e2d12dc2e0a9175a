"""A third scheme for storage is one module and a line in BACKENDS: archive, bundle and scores can be there."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, BinaryIO

import pyarrow as pa
import pytest
import torch

from hf2vad.archive.catalog import catalogue
from hf2vad.archive.path_filter import PathFilter
from hf2vad.bundle.bundle import save_bundle
from hf2vad.commandline import EXIT_OK
from hf2vad.cubes.settings import ExtractionConfig, MotionConfig
from hf2vad.errors import ConfigError, NotFoundError, SchemaError, StorageError
from hf2vad.jobs.backfill import BackfillJob, backfill_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.report.site.job import ReportJob
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.storage import (
    Entry,
    absolute,
    atomic_writer,
    delete,
    exists,
    find_file,
    list_dir,
    list_files,
    open_read,
    put_bytes,
    put_if_absent,
    put_table,
    read_bytes,
    read_table,
)
from hf2vad.storage.backends import BACKENDS
from hf2vad.storage.failures import mapped_os_errors
from tests.bundles import make_bundle
from tests.clips import Clip, write_clip
from tests.evidence import HERE
from tests.stc import SMALL_MODEL


class Memory:
    """Objects of this process, under mem://bucket/key: all that a scheme has to offer."""

    is_local = False
    objects_appear_whole = True

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def mapped(self, uri: str) -> contextlib.AbstractContextManager[None]:
        return mapped_os_errors(uri, missing="object in memory", denied="nothing is")

    def find_file(self, uri: str) -> Entry | None:
        return self._entry(uri, uri.rsplit("/", 1)[-1]) if uri in self._objects else None

    def is_folder(self, uri: str) -> bool:
        return any(self._below(uri))

    def open_read(self, uri: str) -> BinaryIO:
        return io.BytesIO(self.read_bytes(uri))

    def read_bytes(self, uri: str) -> bytes:
        if uri not in self._objects:
            raise FileNotFoundError(uri)
        return self._objects[uri]

    def put_if_absent(self, uri: str, data: bytes) -> bool:
        with self._lock:
            return self._objects.setdefault(uri, data) is data

    def temporary(self, uri: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return io.BytesIO()

    def publish(self, file: IO[bytes], uri: str) -> None:
        file.seek(0)
        self._objects[uri] = file.read()

    def delete(self, uri: str) -> None:
        self._objects.pop(uri, None)

    def list_dir(self, uri: str) -> Iterator[Entry]:
        folders = {name.split("/", 1)[0] for name in self._below(uri) if "/" in name}
        entries = [Entry(name, f"{uri.rstrip('/')}/{name}", True, 0, "") for name in folders]
        entries += [self._entry(f"{uri.rstrip('/')}/{name}", name) for name in self._below(uri) if "/" not in name]
        return self._sorted(uri, entries)

    def list_files(self, uri: str) -> Iterator[Entry]:
        single = self.find_file(uri)
        entries = [self._entry(f"{uri.rstrip('/')}/{name}", name) for name in self._below(uri)]
        return iter([single]) if single else self._sorted(uri, entries)

    def _below(self, uri: str) -> list[str]:
        prefix = uri.rstrip("/") + "/"
        return [key.removeprefix(prefix) for key in list(self._objects) if key.startswith(prefix)]

    def _entry(self, uri: str, name: str) -> Entry:
        return Entry(name, uri, False, len(self._objects[uri]), str(hash(self._objects[uri])))

    def _sorted(self, uri: str, entries: list[Entry]) -> Iterator[Entry]:
        if not entries:
            raise FileNotFoundError(uri)
        yield from sorted(entries, key=lambda entry: entry.order)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    made = Memory()
    monkeypatch.setitem(sys.modules, "storage_in_memory", made)  # type: ignore[arg-type]
    monkeypatch.setitem(BACKENDS, "mem", "storage_in_memory")  # type: ignore[index]
    return made


def test_objects_are_put_found_listed_read_and_removed() -> None:
    for name in ("a/x", "a.txt", "B"):
        put_bytes(f"mem://b/{name}", name.encode())
    assert [entry.name + "/" * entry.is_dir for entry in list_dir("mem://b")] == ["B", "a.txt", "a/"]
    assert [entry.name for entry in list_files("mem://b", "x")] == ["a/x"]
    assert read_bytes("mem://b/a/x") == b"a/x"
    assert put_if_absent("mem://b/new", b"1")
    assert not put_if_absent("mem://b/new", b"2")
    with pytest.raises(ValueError, match="of the block"), atomic_writer("mem://b/half"):
        raise ValueError("of the block")
    delete("mem://b/new")
    assert [exists(f"mem://b/{name}") for name in ("a", "a.txt", "new", "half")] == [True, True, False, False]
    assert find_file("mem://b/a") is None
    assert absolute("mem://b/a") == "mem://b/a"


def test_its_errors_are_ours() -> None:
    for call in (read_bytes, open_read, lambda uri: list(list_dir(uri)), lambda uri: list(list_files(uri)), read_table):
        with pytest.raises(NotFoundError, match=r"^mem://b/none: no such object in memory$"):
            call("mem://b/none")
    with pytest.raises(StorageError, match=r"no storage for nem://; there are mem://, s3:// and local paths"):
        read_bytes("nem://b/none")


def test_tables_are_put_and_read() -> None:
    table = pa.table({"a": range(1000)})
    put_table("mem://b/t.parquet", table)
    assert read_table("mem://b/t.parquet").equals(table)
    put_bytes("mem://b/torn.parquet", b"no table")
    with pytest.raises(SchemaError, match=r"mem://b/torn\.parquet: not a readable Parquet file"):
        read_table("mem://b/torn.parquet")


def test_pages_link_to_videos_in_the_same_bucket_alone() -> None:
    ReportJob(scores="s", out="mem://b/site", archive=("mem://b/archive",))
    for out in ("mem://c/site", "s3://b/site", "site"):
        with pytest.raises(ConfigError, match="cannot name files in mem://b/archive"):
            ReportJob(scores="s", out=out, archive=("mem://b/archive",))


@pytest.fixture
def site(tmp_path: Path) -> ScoreJob:
    """Scoring of three clips, all of it in memory."""
    write_clip(tmp_path / "clip.mp4", Clip(frames=12))
    for path in ("gate/2026-11-23/a.mp4", "gate/2026-11-24/a.mp4", "yard/2026-11-24/a.mp4"):
        put_bytes(f"mem://b/archive/{path}", (tmp_path / "clip.mp4").read_bytes())
    torch.manual_seed(0)
    bundle = make_bundle(
        HF2VAD(SMALL_MODEL).state_dict(),
        extraction=ExtractionConfig(motion=MotionConfig(min_area=16)),
        smoothing=SmoothingRule(1),
    )
    save_bundle("mem://b/bundle", bundle)
    job = replace(ScoreJob.base({"bundle": "mem://b/bundle"}), archive="mem://b/archive", bundle="mem://b/bundle")
    return replace(job, out="mem://b/out", engine="eager", device="cpu", batch=16, shard_frames=6, ray=HERE)


def test_an_archive_is_listed_by_its_paths(site: ScoreJob) -> None:
    night = PathFilter("{camera}/{date}/*", ("gate",))
    videos = list(catalogue(site.archive, scope=night))
    assert [video.id for video in videos] == ["gate/2026-11-23/a.mp4", "gate/2026-11-24/a.mp4"]
    (alone,) = catalogue("mem://b/archive/yard/2026-11-24/a.mp4")
    assert (alone.id, alone.kind, alone.fingerprint) == ("a.mp4", "file", videos[0].fingerprint)


@pytest.mark.slow
def test_a_walk_scores_it_and_knows_by_its_marks_what_is_done(
    site: ScoreJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score_job(site) == EXIT_OK
    (prefix,) = (entry.uri for entry in list_dir("mem://b/out") if entry.name.startswith("bundle="))
    for folder in ("done", "frames", "objects", "events", "health"):
        assert sum(1 for _ in list_files(f"{prefix}/{folder}")) == 3
    assert not exists(f"{prefix}/shards")
    before = {entry.uri: entry.version for entry in list_files(prefix)}

    put_bytes("mem://b/archive/yard/2026-11-24/b.mp4", read_bytes("mem://b/archive/yard/2026-11-24/a.mp4"))
    nightly = BackfillJob(archive=("mem://b/archive",), bundle=site.bundle, out=site.out, pattern="{camera}/{date}/*")
    settings = {name: getattr(site, name) for name in ("engine", "device", "batch", "shard_frames", "ray", "motion")}
    capsys.readouterr()
    assert backfill_job(replace(nightly, dry_run=True, **settings)) == EXIT_OK
    said = capsys.readouterr().out
    assert "new: 'yard/2026-11-24/b.mp4'\n1 new video, " in said
    assert backfill_job(replace(nightly, compact=True, **settings)) == EXIT_OK
    after = {entry.uri: entry.version for entry in list_files(prefix)}
    assert before.items() <= after.items()
    assert sum(1 for _ in list_files(f"{prefix}/compact/index")) == 3
