from __future__ import annotations

import itertools
import os

import pyarrow as pa
import pytest

from hf2vad.errors import SchemaError, StorageError
from hf2vad.storage import (
    exists,
    find_file,
    key_path,
    list_dir,
    list_files,
    open_parquet,
    open_read,
    put_bytes,
    put_json,
    put_table,
    read_bytes,
    read_json,
    read_table,
)
from hf2vad.storage.s3 import READ_BLOCK
from tests.seaweed import SeaweedServer

COUNT = itertools.count()


@pytest.fixture
def prefix(s3: SeaweedServer) -> str:
    """A prefix of its own in a bucket that is there."""
    put_bytes("s3://reading/there", b"")
    return f"s3://reading/{next(COUNT)}"


def names(uri: str) -> list[str]:
    return [entry.name for entry in list_files(uri)]


def noise(size: int, seed: int = 0) -> bytes:
    block = bytes((7 * seed + i * i // 251) % 256 for i in range(65_521))
    return (block * (size // len(block) + 1))[:size]


@pytest.mark.parametrize(
    "identity", ["..", "/a", "a//b", "a\nb", "Straße/日本.mp4", "x" * 900, "a?versionId=1", "*[a]", "a%2Fb#c+d"]
)
def test_a_file_named_by_any_id_is_put_found_listed_and_read(prefix: str, identity: str) -> None:
    uri = f"{prefix}/{key_path(identity)}"
    put_bytes(uri, identity.encode())
    assert read_bytes(uri) == open_read(uri).read() == identity.encode()
    assert names(prefix) == [key_path(identity)]
    assert exists(uri)


@pytest.mark.parametrize("name", ["line\nbreak", "*[a]?", "a#b", "a%2Fb", "a+b &=<>'\"", "ä" * 120])
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
