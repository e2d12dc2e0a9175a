"""Objects under URIs: local paths and s3://bucket/key. The only package that knows s3fs, and the only one that retries.

One module keeps the objects of a scheme; `backends.BACKENDS` lists them. S3 credentials and endpoint come from the
standard AWS chain (environment, ~/.aws, instance role; AWS_ENDPOINT_URL). What fails is raised as a StorageError, a
missing object or file as NotFoundError, a missing bucket as BucketNotFoundError, refused or missing credentials as
AccessDeniedError, a full disk as StorageFullError. Writes are atomic: an object is there whole or not at all.
Nothing is cached: a listing shows what is there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hf2vad.errors import SchemaError, StorageError
from hf2vad.storage.backends import absolute, backend_of, is_local, objects_appear_whole
from hf2vad.storage.entry import Backend, Entry
from hf2vad.storage.failures import FULL, full
from hf2vad.storage.names import id_of_key, join, key_path, partition, readable

__all__ = [
    "Entry",
    "absolute",
    "atomic_writer",
    "delete",
    "exists",
    "find_file",
    "id_of_key",
    "is_local",
    "join",
    "key_path",
    "list_dir",
    "list_files",
    "objects_appear_whole",
    "open_parquet",
    "open_read",
    "partition",
    "put_by_content",
    "put_bytes",
    "put_if_absent",
    "put_json",
    "put_table",
    "read_batches",
    "read_bytes",
    "read_json",
    "read_table",
    "readable",
    "require_writable",
]


@contextlib.contextmanager
def _at(uri: str) -> Iterator[Backend]:
    """Open the backend of `uri`. Its errors inside the block become ours."""
    backend = backend_of(uri)
    with backend.mapped(uri):
        yield backend


def exists(uri: str) -> bool:
    """True if `uri` is a file or a folder (in S3: anything below the prefix)."""
    with _at(uri) as backend:
        return backend.find_file(uri) is not None or backend.is_folder(uri)


def find_file(uri: str) -> Entry | None:
    """The file at `uri`; none when there is nothing, or a folder."""
    with _at(uri) as backend:
        return backend.find_file(uri)


def open_read(uri: str) -> BinaryIO:
    """A seekable binary file; an S3 object is read in place, `s3.READ_BLOCK` bytes at a time.

    Reading an S3 object that was replaced since it was opened raises StorageError. So do reads that fail, from every
    backend.
    """
    with _at(uri) as backend:
        return backend.open_read(uri)


def read_bytes(uri: str) -> bytes:
    """The whole content of a file."""
    with _at(uri) as backend:
        return backend.read_bytes(uri)


def read_json(uri: str) -> dict[str, Any]:
    """A JSON object. Raises SchemaError for anything else."""
    try:
        found = json.loads(read_bytes(uri))
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{uri}: not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise SchemaError(f"{uri}: not a JSON object")
    return found


def put_bytes(uri: str, data: bytes) -> None:
    """Put a file at `uri`, in place of the one there may be."""
    with atomic_writer(uri) as file:
        file.write(data)


def put_json(uri: str, values: dict[str, Any]) -> None:
    """Put a JSON object at `uri`."""
    put_bytes(uri, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def put_if_absent(uri: str, data: bytes) -> bool:
    """Put a file at `uri` unless there is one; returns whether it was put. Of several callers, at most one puts.

    In S3 a put whose answer was lost is found by its retry, which then returns False: give callers distinct `data`, and
    read it back where that matters.
    """
    with _at(uri) as backend:
        return backend.put_if_absent(uri, data)


@contextlib.contextmanager
def atomic_writer(uri: str) -> Iterator[IO[bytes]]:
    """A binary file that appears at `uri` when the block ends, and does not when the block raises.

    Raises StorageFullError when the disk is full. Other errors of the block are its own and pass as they are.
    """
    with _temporary(uri) as file:
        yield file
        with _at(uri) as backend:
            backend.publish(file, uri)


def put_by_content(folder: str, suffix: str, write: Callable[[IO[bytes]], None]) -> str:
    """Put what `write` writes into `folder`, under 16 hex digits of its SHA-256 and `suffix`; returns its URI."""
    with _temporary(join(folder, "unnamed")) as file:
        write(file)
        file.seek(0)
        uri = join(folder, hashlib.file_digest(file, "sha256").hexdigest()[:16] + suffix)  # type: ignore[arg-type]
        with _at(uri) as backend:
            backend.publish(file, uri)
    return uri


@contextlib.contextmanager
def _temporary(uri: str) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as opened:
        with _at(uri) as backend:
            file = opened.enter_context(backend.temporary(uri))
        try:
            yield file
        except OSError as error:
            if error.errno in FULL:
                raise full(readable(uri), error) from None
            if error.errno == errno.EFBIG:
                raise StorageError(f"{readable(uri)}: cannot be written: {error.strerror}") from None
            raise


def require_writable(folder: str) -> None:
    """Raise StorageError if nothing can be put below `folder`, before work is done whose result would be lost.

    Tries only local folders, by a temporary file in the nearest folder that exists, and makes none. A store is asked
    by the first object that is put.
    """
    if is_local(folder):
        place = absolute(folder)
        while not exists(place):
            place = os.path.dirname(place)
        with _at(folder) as backend, backend.temporary(join(place, "try")):
            pass


def delete(uri: str) -> None:
    """Remove the file at `uri`, if there is one."""
    with _at(uri) as backend:
        backend.delete(uri)


def list_dir(uri: str) -> Iterator[Entry]:
    """Files and folders directly below `uri`, in the byte order of their keys (a folder's ends in `/`).

    An S3 listing is fetched one page ahead, in the order in which the server gives its pages. Raises NotFoundError
    where there is nothing. An empty part of an S3 key (`a//b`) is a folder without a name, whose URI ends in `//`.
    """
    with _at(uri) as backend:
        yield from backend.list_dir(uri)


def list_files(uri: str, suffix: str = "") -> Iterator[Entry]:
    """All files below `uri` whose names end in `suffix`, sorted by key; `name` is the path below `uri`.

    S3 keys with an empty part are left out: they are none of ours.
    Raises NotFoundError where there is nothing. `uri` may also be one file. Links to folders are not followed.
    """
    with _at(uri) as backend:
        found = backend.list_files(uri)
        yield from (entry for entry in found if entry.name.endswith(suffix))


def put_table(uri: str, table: pa.Table, *, row_group_size: int | None = None) -> None:
    """Put a Parquet file. The same table gives the same bytes. `row_group_size`: rows, none for pyarrow's choice."""
    with atomic_writer(uri) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=row_group_size)


def open_parquet(uri: str) -> pq.ParquetFile:
    """A Parquet file, of which only the footer is read. Raises SchemaError when it is none."""
    with _parquet(uri):
        # A local path goes as bytes: pyarrow reads some strings as URIs, and none that is not UTF-8.
        return pq.ParquetFile(pa.OSFile(os.fsencode(uri)) if is_local(uri) else open_read(uri), pre_buffer=False)


def read_table(uri: str, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a Parquet file."""
    with _parquet(uri), open_parquet(uri) as file:
        return file.read(columns=None if columns is None else list(columns))


def read_batches(uri: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, at most `rows` at a time."""
    with _parquet(uri), open_parquet(uri) as file:
        yield from file.iter_batches(batch_size=rows)


@contextlib.contextmanager
def _parquet(uri: str) -> Iterator[None]:
    try:
        with _at(uri):
            yield
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{uri}: not a readable Parquet file: {' '.join(str(error).split())}") from None
