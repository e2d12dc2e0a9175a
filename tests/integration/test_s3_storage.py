from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from hf2vad.errors import NotFoundError, SchemaError, StorageError
from hf2vad.storage import (
    atomic_writer,
    delete,
    exists,
    find_file,
    key_path,
    list_dir,
    list_files,
    open_parquet,
    open_read,
    put_bytes,
    put_if_absent,
    put_json,
    put_table,
    read_bytes,
    read_json,
    read_table,
)
from hf2vad.storage.s3 import MEMORY_SPOOL, READ_BLOCK
from tests.seaweed import SeaweedServer
from tests.site import ROOT

USES: dict[str, Callable[[str], object]] = {
    "exists": exists,
    "find_file": find_file,
    "open_read": open_read,
    "read_bytes": read_bytes,
    "read_json": read_json,
    "open_parquet": open_parquet,
    "read_table": read_table,
    "list_dir": lambda uri: list(list_dir(uri)),
    "list_files": lambda uri: list(list_files(uri)),
    "put_bytes": lambda uri: put_bytes(uri, b""),
    "put_if_absent": lambda uri: put_if_absent(uri, b""),
    "delete": delete,
}
READS = ["open_read", "read_bytes", "read_json", "open_parquet", "read_table", "list_dir", "list_files"]
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


def test_of_many_that_put_the_same_object_exactly_one_does_and_it_holds_that_ones_bytes(prefix: str) -> None:
    for trial in range(4):
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
            entry.name.rsplit("/", 1)[-1], entry.uri, False, entry.size, entry.version
        )
    assert names(f"{prefix}/a.txt") == ["a.txt"]
    assert [entry.name for entry in list_files(prefix, "x")] == ["a-b/x", "a/x", "日本/x"]


def test_a_listing_is_fetched_a_page_at_a_time_and_holds_every_object(prefix: str) -> None:
    expected = [f"{number:04d}" for number in range(1005)]
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


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("uri", ["s3://storage/missing/key", "s3://no-such-bucket/key"])
def test_a_missing_object_prefix_or_bucket_is_a_not_found_error_that_names_it(prefix: str, uri: str, name: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        USES[name](uri)
    assert str(raised.value) == f"{uri}: no such bucket or object"
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


@pytest.mark.parametrize(
    "identity", ["..", "/a", "a//b", "a\nb", "Straße/日本.mp4", "x" * 900, "a?versionId=1", "*[a]", "a%2Fb#c+d"]
)
def test_a_file_named_by_any_id_is_put_found_listed_and_read(prefix: str, identity: str) -> None:
    uri = f"{prefix}/{key_path(identity)}"
    put_bytes(uri, identity.encode())
    assert read_bytes(uri) == open_read(uri).read() == identity.encode()
    assert names(prefix) == [key_path(identity)]
    assert exists(uri)


@pytest.mark.parametrize(
    "name", ["line\nbreak", "a?versionId=1", "*[a]", "a#b", "a%2Fb", "a+b &=<>'\"", "a\\b", "ä" * 120]
)
def test_an_object_that_others_named_is_found_listed_and_read(prefix: str, name: str) -> None:
    put_bytes(f"{prefix}/{name}", name.encode())
    (entry,) = list_dir(prefix)
    assert entry.name == name
    assert find_file(entry.uri) == entry
    assert read_bytes(entry.uri) == open_read(entry.uri).read() == name.encode()


def test_an_open_object_is_seekable_and_gives_the_bytes_of_every_place(prefix: str) -> None:
    data = noise(2 * READ_BLOCK + 1234)
    put_bytes(f"{prefix}/object", data)
    with open_read(f"{prefix}/object") as file:
        assert file.readable()
        assert file.seekable()
        for place in (0, len(data) - 100, READ_BLOCK - 50, 10, 2 * READ_BLOCK, len(data), len(data) + 5):
            assert file.seek(place) == file.tell() == place
            assert file.read(100) == data[place : place + 100]
        assert file.seek(-3, os.SEEK_END) == len(data) - 3
        assert file.read() == data[-3:]
        file.seek(5)
        assert file.seek(5, os.SEEK_CUR) == 10
        assert file.readline() == data[10 : data.index(b"\n", 10) + 1]


def test_reading_on_in_an_object_that_was_replaced_is_a_storage_error(prefix: str) -> None:
    put_bytes(f"{prefix}/object", noise(2 * READ_BLOCK))
    with open_read(f"{prefix}/object") as file:
        assert file.read(10) == noise(10)
        put_bytes(f"{prefix}/object", noise(2 * READ_BLOCK, seed=1))
        file.seek(2 * READ_BLOCK - 10)
        with pytest.raises(StorageError, match=f"{prefix}/object: .*no longer exists"):
            file.read(10)


def test_a_table_comes_back_as_it_was_put_and_its_columns_alone_can_be_read(prefix: str) -> None:
    table = pa.table({"frame": pa.array(range(1000), pa.int64()), "video": ["Straße"] * 1000})
    put_table(f"{prefix}/table.parquet", table, row_group_size=300)
    assert read_table(f"{prefix}/table.parquet").equals(table)
    assert read_table(f"{prefix}/table.parquet", ["video"]).equals(table.select(["video"]))
    with open_parquet(f"{prefix}/table.parquet") as file:
        assert file.num_row_groups == 4


def test_an_object_of_another_format_is_a_schema_error(prefix: str) -> None:
    put_json(f"{prefix}/a.json", {"name": "Straße"})
    assert read_json(f"{prefix}/a.json") == {"name": "Straße"}
    for content in (b"", b"[1]", b"frame,video\n" * 99):
        put_bytes(f"{prefix}/other", content)
        for read in (open_parquet, read_table, read_json):
            with pytest.raises(SchemaError, match=f"{prefix}/other: not "):
                read(f"{prefix}/other")


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong-secret-of-mine"},
            "access denied; check the credentials and the bucket's policy",
        ),
        ({"AWS_ACCESS_KEY_ID": "unknown-key-of-mine"}, "access denied; check the credentials and the bucket's policy"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role",
        ),
    ],
    ids=["wrong secret", "unknown key", "no credentials"],
)
def test_refused_credentials_are_one_clear_access_denied_error_without_a_secret(
    prefix: str, changed: dict[str, str], remedy: str
) -> None:
    uri = f"{prefix}/object"
    put_bytes(uri, b"mine")
    environment = {name: value for name, value in {**os.environ, **changed}.items() if value}
    home = {"HOME": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    command = [sys.executable, "-m", "tests.integration.test_s3_storage", uri]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**environment, **home}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: f"AccessDeniedError: {uri}: {remedy}" for name in USES}
    for secret in (environment.get("AWS_SECRET_ACCESS_KEY"), environment.get("AWS_ACCESS_KEY_ID")):
        assert secret is None or secret not in done.stdout + done.stderr
    assert read_bytes(uri) == b"mine"


def say_what_each_use_raises(uri: str) -> None:
    """In a process of its own: credentials are read once in each."""
    said = {}
    for name, use in USES.items():
        try:
            said[name] = f"returned {use(uri)!r}"
        except Exception as error:  # whatever it is, the test compares it
            said[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(said))


if __name__ == "__main__":
    say_what_each_use_raises(sys.argv[1])
