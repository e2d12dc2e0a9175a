from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hf2vad.errors import SchemaError
from hf2vad.storage import open_parquet, put_bytes, put_json, put_table, read_bytes, read_json, read_table

TABLE = pa.table({"frame": pa.array(range(1000), pa.int64()), "video": ["Straße 7/ä.mp4"] * 1000})


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def test_a_table_comes_back_as_it_was_put_and_the_same_table_gives_the_same_bytes(folder: str) -> None:
    put_table(f"{folder}/1.parquet", TABLE, row_group_size=300)
    put_table(f"{folder}/2.parquet", TABLE, row_group_size=300)
    assert read_table(f"{folder}/1.parquet").equals(TABLE)
    assert read_table(f"{folder}/1.parquet", ["frame"]).equals(TABLE.select(["frame"]))
    with open_parquet(f"{folder}/1.parquet") as file:
        assert file.num_row_groups == 4
    assert read_bytes(f"{folder}/1.parquet") == read_bytes(f"{folder}/2.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"frame,video\n1,a\n" * 99, None], ids=["empty", "4", "csv", "cut"])
def test_a_file_that_is_no_whole_parquet_file_is_a_schema_error(folder: str, content: bytes | None) -> None:
    put_table(f"{folder}/table.parquet", TABLE)
    put_bytes(f"{folder}/table.parquet", read_bytes(f"{folder}/table.parquet")[:-9] if content is None else content)
    for read in (open_parquet, read_table):
        with pytest.raises(SchemaError) as raised:
            read(f"{folder}/table.parquet")
        assert str(raised.value).startswith(f"{folder}/table.parquet: not a readable Parquet file: ")
        assert "\n" not in str(raised.value)


def test_a_json_object_comes_back_as_it_was_put(folder: str) -> None:
    put_json(f"{folder}/a.json", {"name": "Straße", "values": [1, 2.5, None]})
    assert read_json(f"{folder}/a.json") == {"name": "Straße", "values": [1, 2.5, None]}
    assert "Straße".encode() in read_bytes(f"{folder}/a.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe{}", b'{"a": 1} x', b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_a_schema_error_that_names_it(folder: str, content: bytes) -> None:
    put_bytes(f"{folder}/a.json", content)
    with pytest.raises(SchemaError, match=r"a\.json: not "):
        read_json(f"{folder}/a.json")
