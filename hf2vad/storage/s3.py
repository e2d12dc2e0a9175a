"""Objects in S3, through s3fs.

Of s3fs only requests and ranged reads are used: its listings hold everything, and its caches show what was. s3fs,
botocore and aiohttp each repeat requests, one inside the other; here all three are told not to, and `tries` does.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import IO, Any, BinaryIO, TypeVar, cast

import aiohttp
import botocore.exceptions
import s3fs
from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from fsspec.asyn import FSTimeoutError

from hf2vad.errors import AccessDeniedError, BucketNotFoundError, NotFoundError, StorageError
from hf2vad.storage.entry import Entry
from hf2vad.storage.failures import mapped_os_errors, one_line
from hf2vad.storage.names import readable
from hf2vad.storage.s3_endpoint import check_endpoint
from hf2vad.storage.s3_http import OnceSession, ParserFactory, read_listings_once
from hf2vad.storage.tries import tried

T = TypeVar("T")

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Longest wait for an answer, or for more of it. A request to a store that hangs fails after ATTEMPTS of them."""
READ_BLOCK = 2 * 2**20
"""Bytes that an open object is read ahead by, and about what it holds in memory: docs/adr/0002."""
TRANSPORT = (
    HTTPClientError,
    botocore.exceptions.ConnectionError,
    IncompleteReadError,
    ResponseParserError,
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
    FSTimeoutError,
)
"""Exceptions raised if no whole answer arrived."""
BUSY_STATUS = (429, 500, 502, 503, 504)
BUSY_CODES = ("SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict")
"""Error codes that mean "busy" although their HTTP status does not."""
MEMORY_SPOOL = 32 * 2**20
"""An object on its way to S3 is held in memory up to this size, then in a temporary file."""
PART_BYTES = 16 * 2**20
"""A larger object is put in parts of this size."""


is_local = False
objects_appear_whole = True


@contextlib.contextmanager
def mapped(uri: str) -> Iterator[None]:
    shown = readable(uri)
    with mapped_os_errors(uri, missing="bucket or object", denied="check the credentials and the bucket's policy"):
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise AccessDeniedError(
                f"{shown}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
            ) from None
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise BucketNotFoundError(f"{shown}: there is no such bucket") from None
            raise
        except PermissionError as error:
            if _code(error) == "InvalidObjectState":  # one object, whatever the credentials are
                raise NotFoundError(f"{shown}: kept in an archive of the store; restore it there first") from None
            raise
        except (BotoCoreError, ClientError, ResponseParserError, aiohttp.ClientError) as error:
            raise StorageError(f"{shown}: {one_line(error)}") from None


def find_file(uri: str) -> Entry | None:
    bucket, key = _bucket_key(uri)
    if not key or key.endswith("/"):
        return None
    try:
        head = _call("head_object", Bucket=bucket, Key=key)
    except FileNotFoundError:
        return None
    modified = _unix_time(head.get("LastModified", ""))
    return Entry(key.rsplit("/", 1)[-1], uri, False, head["ContentLength"], head["ETag"].strip('"'), modified)


def is_folder(uri: str) -> bool:
    bucket, key = _bucket_key(uri)
    try:
        page = _call("list_objects_v2", Bucket=bucket, Prefix=_prefix(key), MaxKeys=1)
    except FileNotFoundError:
        return False
    return bool(page.get("Contents"))


def open_read(uri: str) -> BinaryIO:
    _named(uri)
    file = _tried(lambda: _file_system().open(uri, "rb", block_size=READ_BLOCK, cache_type="readahead"))
    if file.details["type"] != "file":  # s3fs opens a folder as an empty file
        raise FileNotFoundError(uri)
    return cast(BinaryIO, _Reader(file, uri))


def read_bytes(uri: str) -> bytes:
    _named(uri)
    # One request: with more at once s3fs asks for the size first.
    return cast(bytes, _tried(lambda: _file_system().cat_file(uri, max_concurrency=1)))


def put_if_absent(uri: str, data: bytes) -> bool:
    bucket, key = _named(uri)
    try:
        _call("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
    except OSError as error:
        if isinstance(error, FileExistsError) or "PreconditionFailed" in f"{error} {error.__cause__}":
            return False
        raise
    return True


def temporary(uri: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    _named(uri)
    return tempfile.SpooledTemporaryFile(max_size=MEMORY_SPOOL)


def publish(file: IO[bytes], uri: str) -> None:
    bucket, key = _named(uri)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= MEMORY_SPOOL:
        _call("put_object", Bucket=bucket, Key=key, Body=file.read())
        return
    upload = _call("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
    try:
        parts: list[dict[str, Any]] = []
        while data := file.read(PART_BYTES):
            number = len(parts) + 1
            put = _call("upload_part", Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data)
            parts.append({"PartNumber": number, "ETag": put["ETag"]})
        whole = {"Parts": parts}
        _call("complete_multipart_upload", Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=whole)
    except BaseException:
        _call("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
        raise


def delete(uri: str) -> None:
    bucket, key = _named(uri)
    _call("delete_object", Bucket=bucket, Key=key)


def list_dir(uri: str) -> Iterator[Entry]:
    return _list(uri, Delimiter="/")


def list_files(uri: str) -> Iterator[Entry]:
    single = find_file(uri)
    return iter([single]) if single else _list(uri)


class _Reader(io.RawIOBase):
    """A file of s3fs whose errors are ours: it is read outside this package."""

    def __init__(self, file: Any, uri: str) -> None:
        self._file, self._uri = file, uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return cast(int, self._file.tell())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return cast(int, self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        with mapped(self._uri):
            return cast(bytes, _tried(lambda: self._file.read(size)))

    def close(self) -> None:
        self._file.close()
        super().close()


def _list(uri: str, **request: str) -> Iterator[Entry]:
    bucket, key = _bucket_key(uri)
    request |= {"Bucket": bucket, "Prefix": _prefix(key)}
    skip = len(request["Prefix"])
    empty = True
    for page in _pages(request):
        found = [
            Entry(
                name=item["Key"][skip:],
                uri=f"s3://{bucket}/{item['Key']}",
                is_dir=False,
                size=int(item["Size"]),
                version=item["ETag"].strip('"'),
                modified=_unix_time(item.get("LastModified", "")),
            )
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        ]
        for folder in page.get("CommonPrefixes", []):
            prefix = folder["Prefix"]
            name = prefix[skip:-1]
            found.append(Entry(name, f"s3://{bucket}/{prefix[:-1] if name else prefix}", True, 0, ""))
        empty = empty and not page.get("Contents") and not page.get("CommonPrefixes")
        shown = found if "Delimiter" in request else [entry for entry in found if all(entry.name.split("/"))]
        # Files alone are in this order by their names too, for which nothing is encoded.
        yield from sorted(shown, key=lambda entry: entry.order) if page.get("CommonPrefixes") else sorted(shown)
    if empty and key:
        raise FileNotFoundError(uri)


def _pages(request: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The pages of a listing, the next of which is on its way while one is used."""
    page = _call("list_objects_v2", **request)
    with ThreadPoolExecutor(1, "listing") as ahead:
        while page.get("IsTruncated"):
            coming = ahead.submit(_call, "list_objects_v2", **request, ContinuationToken=page["NextContinuationToken"])
            yield page
            page = coming.result()
    yield page


@lru_cache(maxsize=256)
def _unix_time(text: str | datetime) -> float:
    """Unix time of a listing's 2026-11-24T01:02:03.000Z or a header's Tue, 24 Nov 2026 01:02:03 GMT; 0 for anything
    else. With older releases of s3fs a listing has datetimes."""
    if isinstance(text, datetime):
        return text.timestamp()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(text).timestamp()
        except ValueError:
            continue
    return 0.0


def _prefix(key: str) -> str:
    """Prefix of the keys in a folder. A folder without a name is its whole prefix (`a//`, or `/` at the top)."""
    if key == "/" or key.endswith("//"):
        return key
    return key.rstrip("/") + "/" if key.rstrip("/") else ""


def _bucket_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise NotFoundError(f"{uri!r}: an S3 URI looks like s3://bucket/prefix")
    if "@" in bucket:
        raise NotFoundError("an S3 URI holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    return bucket, key


def _named(uri: str) -> tuple[str, str]:
    bucket, key = _bucket_key(uri)
    if not key or key.endswith("/"):
        raise IsADirectoryError(errno.EISDIR, "names a bucket or folder, not an object")
    return bucket, key


def _call(method: str, **request: Any) -> dict[str, Any]:
    return cast(dict[str, Any], _tried(lambda: _file_system().call_s3(method, **request)))


def _code(error: OSError) -> str:
    """S3's error code inside an error that s3fs turned into a Python one."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def _tried(request: Callable[[], T]) -> T:
    return tried(request, _may_pass)


def _may_pass(error: Exception) -> bool:
    """True if the same request may succeed later: the connection or the server failed, or requests came too often."""
    answer = error if isinstance(error, ClientError) else error.__cause__  # s3fs raises errors of Python's in its place
    if not isinstance(answer, ClientError):
        return isinstance(error, TRANSPORT)
    status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status in BUSY_STATUS or answer.response.get("Error", {}).get("Code") in BUSY_CODES


def _file_system() -> s3fs.S3FileSystem:
    """The file system of this process: one made before a fork is not used after it."""
    return _file_system_of(os.getpid())


@lru_cache(maxsize=1)
def _file_system_of(pid: int) -> s3fs.S3FileSystem:
    check_endpoint()
    once = {"total_max_attempts": 1, "mode": "adaptive"}  # this mode asks more slowly after the store has throttled
    times = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    session = AioSession()
    session.register_component("response_parser_factory", ParserFactory())
    read_listings_once(session)
    made = s3fs.S3FileSystem(
        session=session,
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={"retries": once, "http_session_cls": OnceSession, **times},
    )
    made.retries = 1
    try:
        made.connect()
    except ValueError as error:  # of AWS_ENDPOINT_URL, or of the settings in ~/.aws
        raise OSError(errno.EINVAL, str(error)) from None
    return made
