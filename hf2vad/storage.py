"""Objects under URIs: local paths and s3://bucket/key. The only module that knows s3fs, and the only one that retries.

S3 credentials and endpoint come from the standard AWS chain (environment, ~/.aws, instance role; AWS_ENDPOINT_URL).
Transient S3 errors are retried with backoff by botocore (`RETRIES` attempts, adaptive) and by s3fs around it; what
still fails is raised as a StorageError. Writes are atomic: an object is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import s3fs
from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

from hf2vad.errors import AccessDeniedError, NotFoundError, SchemaError, StorageError

RETRIES = 5
"""Attempts of one S3 request, the first included."""
READ_BLOCK = 4 * 2**20
"""Bytes read ahead of a reader of an S3 object, and about what an open one holds in memory."""
MEMORY_SPOOL = 32 * 2**20
"""An object on its way to S3 is held in memory up to this size, then in a temporary file."""
SEGMENT_BYTES = 200
"""Longest part of a key made from a video's id; file systems end at 255."""


@dataclass(frozen=True)
class Entry:
    """A file or folder found by a listing."""

    name: str
    """Its last path component; for `list_files`, its path below the listed prefix."""
    uri: str
    is_dir: bool
    size: int
    """Bytes; 0 for a folder."""
    version: str
    """Changes when the content does: ETag, or modification time in nanoseconds."""


def is_s3(uri: str) -> bool:
    """Whether `uri` is in S3; everything else is a local path."""
    return uri.startswith("s3://")


def join(uri: str, *parts: str) -> str:
    """`parts` below `uri`."""
    return "/".join([uri.rstrip("/") or "/", *(part.strip("/") for part in parts)]).replace("//", "/", not is_s3(uri))


def key_path(video_id: str) -> str:
    """The id of a video as a key below an output prefix: one-to-one, readable, and never outside the prefix.

    Ordinary names stay as they are. Other characters are percent-encoded, `.` and `..` and empty parts too, and a part
    longer than SEGMENT_BYTES ends in a hash of the whole.
    """
    return "/".join(_key_segment(part) for part in video_id.split("/"))


def _key_segment(part: str) -> str:
    encoded = urllib.parse.quote(part, safe=" ._-+=@(),", errors="surrogateescape")
    if not part:
        return "%00"
    if set(part) == {"."}:
        return encoded.replace(".", "%2E")
    if len(encoded) > SEGMENT_BYTES:
        digest = hashlib.sha256(part.encode(errors="surrogateescape")).hexdigest()[:32]
        return f"{encoded[: SEGMENT_BYTES - 33]}~{digest}"
    return encoded


def exists(uri: str) -> bool:
    """Whether there is a file at `uri`."""
    with _mapped(uri):
        if not is_s3(uri):
            return Path(uri).is_file()
        bucket, key = _bucket_key(uri)
        try:
            _s3().call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        return True


def open_read(uri: str) -> BinaryIO:
    """A seekable binary file; an S3 object is read in place, about READ_BLOCK bytes of it in memory."""
    with _mapped(uri):
        if not is_s3(uri):
            return cast(BinaryIO, Path(uri).open("rb"))
        return cast(BinaryIO, _s3().open(uri, "rb", block_size=READ_BLOCK, cache_type="readahead"))


def read_bytes(uri: str) -> bytes:
    """The whole content of a file."""
    with _mapped(uri):
        return cast(bytes, _s3().cat_file(uri)) if is_s3(uri) else Path(uri).read_bytes()


def read_json(uri: str) -> dict[str, Any]:
    """A JSON object. Raises SchemaError for anything else."""
    try:
        found = json.loads(read_bytes(uri))
    except ValueError as error:
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
    """Put a file at `uri` unless there is one; returns whether it was put. Of several callers, one succeeds."""
    with _mapped(uri):
        if is_s3(uri):
            bucket, key = _bucket_key(uri)
            try:
                _s3().call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            except OSError as error:
                if isinstance(error, FileExistsError) or "PreconditionFailed" in _cause_text(error):
                    return False
                raise
            return True
        with _local_temporary(Path(uri)) as (file, temporary):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(temporary, uri)
            except FileExistsError:
                return False
        return True


@contextlib.contextmanager
def atomic_writer(uri: str) -> Iterator[IO[bytes]]:
    """A binary file that appears at `uri` when the block ends, and does not when the block raises.

    Raises StorageError when the disk is full. Other errors of the block are its own and pass as they are.
    """
    with contextlib.ExitStack() as opened:
        with _mapped(uri):
            if is_s3(uri):
                file = cast(IO[bytes], opened.enter_context(tempfile.SpooledTemporaryFile(max_size=MEMORY_SPOOL)))
            else:
                file, temporary = opened.enter_context(_local_temporary(Path(uri)))
        try:
            yield file
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageError(f"{uri}: cannot be written: {error.strerror}") from None
            raise
        with _mapped(uri):
            if is_s3(uri):
                _upload(uri, file)
            else:
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, uri)


def delete(uri: str) -> None:
    """Remove the file at `uri`, if there is one."""
    with _mapped(uri):
        if is_s3(uri):
            bucket, key = _bucket_key(uri)
            _s3().call_s3("delete_object", Bucket=bucket, Key=key)
        else:
            Path(uri).unlink(missing_ok=True)


def list_dir(uri: str) -> Iterator[Entry]:
    """Files and folders directly below `uri`, in the byte order of their keys (a folder's ends in `/`).

    An S3 listing is held one page at a time. Raises NotFoundError where there is nothing.
    """
    with _mapped(uri):
        yield from _list_s3(uri, delimiter="/") if is_s3(uri) else _list_local(uri)


def list_files(uri: str, suffix: str = "") -> Iterator[Entry]:
    """All files below `uri` whose names end in `suffix`, sorted by key; `name` is the path below `uri`.

    Raises NotFoundError where there is nothing. `uri` may also be one file.
    """
    with _mapped(uri):
        if is_s3(uri):
            found = _list_s3(uri, delimiter="")
        elif Path(uri).is_file():
            found = iter([_local_entry(Path(uri), Path(uri).name)])
        else:
            found = _walk_local(uri, "")
        yield from (entry for entry in found if entry.name.endswith(suffix))


def put_table(uri: str, table: pa.Table, *, row_group_size: int | None = None) -> None:
    """Put a Parquet file, compressed with zstd. The same table gives the same bytes."""
    with atomic_writer(uri) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=row_group_size)


def open_parquet(uri: str) -> pq.ParquetFile:
    """A Parquet file, of which only the footer is read. Raises SchemaError when it is none."""
    with _parquet(uri):
        return pq.ParquetFile(open_read(uri) if is_s3(uri) else _existing(uri), pre_buffer=False)


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """All rows of a Parquet file."""
    with _parquet(uri):
        return open_parquet(uri).read(columns=columns)


@contextlib.contextmanager
def _parquet(uri: str) -> Iterator[None]:
    try:
        with _mapped(uri):
            yield
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{uri}: not a readable Parquet file: {error}") from None


def _existing(uri: str) -> str:
    if not Path(uri).is_file():
        raise NotFoundError(f"{uri}: no such file")
    return uri


@lru_cache(maxsize=1)
def _s3_of(pid: int) -> s3fs.S3FileSystem:
    # Listings are never cached: other processes write the same prefixes.
    return s3fs.S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={
            "retries": {"max_attempts": RETRIES, "mode": "adaptive"},
            "connect_timeout": 10,
            "read_timeout": 60,
        },
    )


def _s3() -> s3fs.S3FileSystem:
    """The file system of this process: one made before a fork is not used after it."""
    return _s3_of(os.getpid())


def _bucket_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise NotFoundError(f"{uri!r}: an S3 URI looks like s3://bucket/prefix")
    return bucket, key


def _upload(uri: str, spool: IO[bytes]) -> None:
    size = spool.seek(0, os.SEEK_END)
    spool.seek(0)
    if size <= MEMORY_SPOOL:
        bucket, key = _bucket_key(uri)
        _s3().call_s3("put_object", Bucket=bucket, Key=key, Body=spool.read())
        return
    with _s3().open(uri, "wb", block_size=MEMORY_SPOOL) as target:
        shutil.copyfileobj(spool, target, 2**20)


def _list_s3(uri: str, delimiter: str) -> Iterator[Entry]:
    bucket, key = _bucket_key(uri)
    prefix = key.rstrip("/") + "/" if key.rstrip("/") else ""
    request = {"Bucket": bucket, "Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
    first = True
    while True:
        page = _s3().call_s3("list_objects_v2", **request)
        found = [
            Entry(
                item["Key"][len(prefix) :], f"s3://{bucket}/{item['Key']}", False, item["Size"], item["ETag"].strip('"')
            )
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        ]
        for folder in page.get("CommonPrefixes", []):
            path = folder["Prefix"]
            found.append(Entry(path[len(prefix) :].rstrip("/"), f"s3://{bucket}/{path.rstrip('/')}", True, 0, ""))
        if first and prefix and not page.get("Contents") and not page.get("CommonPrefixes"):
            raise NotFoundError(f"{uri}: nothing there")
        first = False
        yield from sorted(found, key=_order)
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


def _list_local(uri: str) -> Iterator[Entry]:
    with os.scandir(uri) as found:
        entries = [_local_entry(Path(item.path), item.name) for item in found]
    yield from sorted(entries, key=_order)


def _walk_local(uri: str, prefix: str) -> Iterator[Entry]:
    for entry in _list_local(uri):
        if not entry.is_dir:
            yield Entry(prefix + entry.name, entry.uri, False, entry.size, entry.version)
        elif not Path(entry.uri).is_symlink():
            yield from _walk_local(entry.uri, f"{prefix}{entry.name}/")


def _local_entry(path: Path, name: str) -> Entry:
    try:
        stat = path.stat()
    except OSError:
        stat = path.lstat()
        return Entry(name, str(path), False, stat.st_size, str(stat.st_mtime_ns))
    if path.is_dir():
        return Entry(name, str(path), True, 0, "")
    return Entry(name, str(path), False, stat.st_size, str(stat.st_mtime_ns))


def _order(entry: Entry) -> bytes:
    return (entry.name + ("/" if entry.is_dir else "")).encode(errors="surrogateescape")


@contextlib.contextmanager
def _local_temporary(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A temporary file beside `path`; removed at the end if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file, temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


@lru_cache(maxsize=1)
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _mapped(uri: str) -> Iterator[None]:
    """What storage raises, as errors of ours that name the URI; never a secret."""
    try:
        yield
    except StorageError:
        raise
    except (NoCredentialsError, PartialCredentialsError):
        raise AccessDeniedError(
            f"{uri}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        ) from None
    except FileNotFoundError:
        raise NotFoundError(f"{uri}: no such {'bucket or object' if is_s3(uri) else 'file or folder'}") from None
    except PermissionError:
        remedy = "check the credentials and the bucket's policy" if is_s3(uri) else "check its permissions"
        raise AccessDeniedError(f"{uri}: access denied; {remedy}") from None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise StorageError(f"{uri}: {os.strerror(error.errno or errno.EINVAL).lower()}") from None
    except BotoCoreError as error:
        raise StorageError(f"{uri}: {error}") from None
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        raise StorageError(f"{uri}: {error.strerror or error}") from None


def _cause_text(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return f"{error} {cause}" if cause else str(error)
