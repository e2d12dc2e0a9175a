from __future__ import annotations

import itertools
import os
import resource
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hf2vad.errors import BucketNotFoundError, NotFoundError, StorageError
from hf2vad.storage import (
    atomic_writer,
    delete,
    exists,
    find_file,
    list_dir,
    list_files,
    open_parquet,
    open_read,
    put_bytes,
    put_if_absent,
    read_bytes,
    read_json,
    read_table,
)
from hf2vad.storage.s3 import MEMORY_SPOOL
from tests.seaweed import SeaweedServer

READS: list[Callable[[str], object]] = [
    open_read,
    read_bytes,
    read_json,
    open_parquet,
    read_table,
    lambda uri: list(list_dir(uri)),
    lambda uri: list(list_files(uri)),
]
COUNT = itertools.count()


@pytest.fixture
def prefix(s3: SeaweedServer) -> str:
    """A prefix of its own in a bucket that is there."""
    put_bytes("s3://storage/there", b"")
    return f"s3://storage/{next(COUNT)}"


def names(uri: str) -> list[str]:
    return [entry.name for entry in list_files(uri)]


def noise(size: int, seed: int = 0) -> bytes:
    block = bytes((7 * seed + i * i // 251) % 256 for i in range(65_521))
    return (block * (size // len(block) + 1))[:size]


def test_an_object_appears_when_its_block_ends_and_not_before(prefix: str) -> None:
    put_bytes(f"{prefix}/object", b"old")
    with atomic_writer(f"{prefix}/object") as file, atomic_writer(f"{prefix}/new") as other:
        for written in (file, other):
            written.write(b"new")
            written.flush()
        assert names(prefix) == ["object"]
        assert read_bytes(f"{prefix}/object") == b"old"
    assert [read_bytes(entry.uri) for entry in list_files(prefix)] == [b"new", b"new"]


@pytest.mark.parametrize("size", [10, MEMORY_SPOOL + 1])
def test_a_block_that_raises_leaves_the_old_object_and_nothing_else(prefix: str, size: int) -> None:
    def write_half(uri: str) -> None:
        with atomic_writer(uri) as file:
            file.write(bytes(size))
            raise ValueError("of the block")

    put_bytes(f"{prefix}/object", b"old")
    for name in ("object", "other"):
        with pytest.raises(ValueError, match="of the block"):
            write_half(f"{prefix}/{name}")
    assert names(prefix) == ["object"]
    assert read_bytes(f"{prefix}/object") == b"old"


def test_an_object_larger_than_the_spool_is_put_in_parts_and_comes_back_whole(prefix: str) -> None:
    data = noise(MEMORY_SPOOL + 7_000_001)
    before = set(os.listdir(tempfile.gettempdir()))
    with atomic_writer(f"{prefix}/large") as file:
        for start in range(0, len(data), 1_000_003):
            file.write(data[start : start + 1_000_003])
        assert names("s3://storage/there") == ["there"]
        assert not exists(f"{prefix}/large")
    entry = find_file(f"{prefix}/large")
    assert entry is not None
    assert entry.size == len(data)
    assert entry.version.endswith("-3"), "the ETag of an object of three parts"
    assert read_bytes(entry.uri) == data
    assert not {name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith("tmp")}


def test_an_object_that_does_not_fit_on_the_disk_on_its_way_is_a_storage_error(prefix: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match=f"{prefix}/object: cannot be written: File too large"):
            put_bytes(f"{prefix}/object", bytes(MEMORY_SPOOL + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not exists(f"{prefix}/object")


def test_of_many_that_put_the_same_object_exactly_one_does_and_it_holds_that_ones_bytes(prefix: str) -> None:
    for trial in range(2):
        together = threading.Barrier(8)

        def put(number: int, trial: int = trial, together: threading.Barrier = together) -> bool:
            together.wait()
            return put_if_absent(f"{prefix}/lock{trial}", b"%d" % number * 5000)

        with ThreadPoolExecutor(8) as pool:
            put_by = list(pool.map(put, range(8)))
        assert sum(put_by) == 1
        assert read_bytes(f"{prefix}/lock{trial}") == b"%d" % put_by.index(True) * 5000
    assert put_if_absent(f"{prefix}/lock0", b"later") is False
    delete(f"{prefix}/lock0")
    assert put_if_absent(f"{prefix}/lock0", b"later") is True


def test_a_listing_is_in_the_byte_order_of_keys_and_tells_files_from_folders(prefix: str) -> None:
    files = ["a/x", "a-b/x", "a.txt", "a0", "B", "ä", "a b", "日本/x"]
    for name in files:
        put_bytes(f"{prefix}/{name}", name.encode())
    keys = [entry.name + "/" * entry.is_dir for entry in list_dir(prefix)]
    assert keys == ["B", "a b", "a-b/", "a.txt", "a/", "a0", "ä", "日本/"]
    assert names(prefix) == sorted(files, key=str.encode)
    assert names(prefix + "/") == names(prefix)
    for entry in list_files(prefix):
        assert entry.uri == f"{prefix}/{entry.name}"
        assert entry.size == len(entry.name.encode())
        assert find_file(entry.uri) == type(entry)(
            entry.name.rsplit("/", 1)[-1], entry.uri, False, entry.size, entry.version, entry.modified
        )
    assert names(f"{prefix}/a.txt") == ["a.txt"]
    assert [entry.name for entry in list_files(prefix, "x")] == ["a-b/x", "a/x", "日本/x"]


def test_a_listing_is_fetched_one_page_ahead_and_holds_every_object(prefix: str) -> None:
    expected = [f"{number:04d}" for number in range(2005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put_bytes(f"{prefix}/{name}", b""), expected))
    found = list_files(prefix)
    first = next(found).name
    put_bytes(f"{prefix}/9999", b"")
    assert [first, *(entry.name for entry in found)] == [*expected, "9999"]


def test_the_version_of_an_object_changes_with_its_content(prefix: str) -> None:
    put_bytes(f"{prefix}/object", b"12345")
    (before,) = list_dir(prefix)
    put_bytes(f"{prefix}/object", b"54321")
    (after,) = list_dir(prefix)
    assert before.version
    assert after.version not in ("", before.version)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("uri", ["s3://storage/missing/key", "s3://no-such-bucket/key"])
def test_a_missing_object_prefix_or_bucket_is_a_not_found_error_that_names_it(
    prefix: str, uri: str, read: Callable[[str], object]
) -> None:
    with pytest.raises(NotFoundError) as raised:
        read(uri)
    whole = "no-such-bucket" in uri
    assert isinstance(raised.value, BucketNotFoundError) == whole
    assert str(raised.value) == f"{uri}: {'there is no such bucket' if whole else 'no such bucket or object'}"
    assert not exists(uri)
    assert find_file(uri) is None


def test_a_missing_bucket_is_not_found_when_it_is_listed(s3: SeaweedServer) -> None:
    assert not exists("s3://no-such-bucket")
    for uri in ("s3://no-such-bucket", "s3://no-such-bucket/", "s3://", "s3:///key"):
        with pytest.raises(NotFoundError, match="s3://"):
            list(list_dir(uri))


def test_a_folder_is_what_has_objects_below_it_and_is_no_file(prefix: str) -> None:
    put_bytes(f"{prefix}/folder/object", b"1")
    for uri in ("s3://storage", prefix, f"{prefix}/folder", f"{prefix}/folder/", f"{prefix}/folder/object"):
        assert exists(uri)
    assert not exists(f"{prefix}/fold")
    assert not exists(f"{prefix}/folder/object/")
    for uri in ("s3://storage", f"{prefix}/folder", f"{prefix}/folder/"):
        assert find_file(uri) is None
        for read in (open_read, read_bytes, open_parquet):
            with pytest.raises(StorageError, match=uri):
                read(uri)
