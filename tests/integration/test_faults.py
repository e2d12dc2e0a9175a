"""Storage against a real S3 server through a proxy that breaks one request in five."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from hf2vad.errors import StorageError
from hf2vad.storage import (
    Entry,
    delete,
    find_file,
    list_dir,
    list_files,
    open_read,
    put_bytes,
    put_if_absent,
    read_bytes,
    tries,
)
from hf2vad.storage import s3 as backend
from tests.fault_proxy import FaultProxy, Faults
from tests.seaweed import SeaweedServer

WORK = """
import sys
import numpy as np, pyarrow as pa
from hf2vad.storage import *
from hf2vad.storage import tries
tries.FIRST_PAUSE_S = 0.02
table = pa.table({"a": np.arange(50_000)})
where = "s3://faults/" + sys.argv[1]
for i in range(20):
    put_bytes(f"{where}/small/{i:02d}", bytes([i]) * 1000)
    put_table(f"{where}/table/{i:02d}.parquet", table)
for i in range(20):
    assert read_bytes(f"{where}/small/{i:02d}") == bytes([i]) * 1000
    assert read_table(f"{where}/table/{i:02d}.parquet").equals(table)
    with open_read(f"{where}/table/{i:02d}.parquet") as file:
        file.seek(100)
        assert len(file.read(50_000)) == 50_000
assert [entry.name for entry in list_files(f"{where}/small")] == [f"{i:02d}" for i in range(20)]
for i in range(0, 20, 2):
    delete(f"{where}/small/{i:02d}")
assert [entry.name for entry in list_dir(f"{where}/small")] == [f"{i:02d}" for i in range(1, 20, 2)]
assert not exists(f"{where}/small/00")
large = b"0123456789abcdef" * (3 * 2**20)
put_bytes(f"{where}/large", large)
assert read_bytes(f"{where}/large") == large
print("all there")
"""


def test_nothing_is_lost_when_one_request_in_five_fails(s3: SeaweedServer) -> None:
    with FaultProxy(s3.endpoint, Faults.evenly(0.2, seed=0)) as proxy:
        env = {**os.environ, **s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        done = subprocess.run([sys.executable, "-c", WORK, "0"], env=env, capture_output=True, text=True)
        assert done.stdout == "all there\n", done.stderr[-2000:]
        for fault in ("internal", "unavailable", "slow_down", "reset", "lost", "truncated", "delayed"):
            assert proxy.counts[fault] > 0


URI = "s3://faults/counted/object"
REQUESTS: dict[str, Callable[[str], object]] = {
    "find": find_file,
    "open": open_read,
    "read": read_bytes,
    "list": lambda uri: list(list_dir(uri.rsplit("/", 1)[0])),
    "list all": lambda uri: list(list_files(f"{uri}-s")),
    "put": lambda uri: put_bytes(uri, b"new"),
    "put if absent": lambda uri: put_if_absent(uri, b"new"),
    "delete": delete,
}
BROKEN = ("internal", "unavailable", "reset", "lost")


@pytest.fixture
def proxy(s3: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Storage of this process goes through it, and pauses shortly; an object lies at URI."""
    put_bytes(URI, b"0123456789")
    with FaultProxy(s3.endpoint, Faults()) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
        monkeypatch.setattr(tries, "FIRST_PAUSE_S", 0.01)
        backend._file_system_of.cache_clear()
        yield made
    backend._file_system_of.cache_clear()


def requests_of(proxy: FaultProxy, call: Callable[[], object]) -> int:
    """Requests that come to the proxy until `call` gives up."""
    proxy.counts.clear()
    with pytest.raises(StorageError):
        call()
    return proxy.counts.total()


@pytest.mark.parametrize("fault", BROKEN)
def test_each_request_is_tried_five_times_and_no_more(proxy: FaultProxy, fault: str) -> None:
    proxy.faults = Faults(**{fault: 1.0})
    counts = {name: requests_of(proxy, lambda call=call: call(URI)) for name, call in REQUESTS.items()}
    assert counts == dict.fromkeys(REQUESTS, tries.ATTEMPTS)
    assert tries.ATTEMPTS == 5


@pytest.mark.parametrize("fault", [*BROKEN, "slow_down", "truncated"])
def test_a_block_of_an_open_object_is_asked_for_five_times_and_no_more(proxy: FaultProxy, fault: str) -> None:
    with open_read(URI) as file:
        proxy.faults = Faults(**{fault: 1.0})
        assert requests_of(proxy, lambda: file.read(4)) == tries.ATTEMPTS
        proxy.faults = Faults()
        assert file.read(4) == b"0123", "what failed has moved nothing"


def test_a_whole_object_that_arrives_in_part_is_asked_for_five_times(proxy: FaultProxy) -> None:
    proxy.faults = Faults(truncated=1.0)
    assert requests_of(proxy, lambda: read_bytes(URI)) == tries.ATTEMPTS


@pytest.mark.parametrize("fault", ["hidden", "truncated"])
@pytest.mark.parametrize("listed", [list_dir, list_files])
def test_a_listing_that_is_an_error_or_a_part_under_status_200_is_asked_for_five_times(
    proxy: FaultProxy, listed: Callable[[str], Iterator[Entry]], fault: str
) -> None:
    folder = URI.removesuffix("object")
    proxy.faults = Faults(**{fault: 1.0})
    assert requests_of(proxy, lambda: list(listed(folder))) == tries.ATTEMPTS
    proxy.faults = Faults()
    assert [entry.name for entry in listed(folder)] == ["object"]


def test_the_xml_of_a_listing_is_read_once(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    class Counting(ElementTree.XMLParser):
        def feed(self, data: bytes) -> None:  # type: ignore[override]
            read.append(data)
            super().feed(data)

    monkeypatch.setattr(ElementTree, "XMLParser", Counting)
    assert list(list_dir(URI.rsplit("/", 1)[0]))
    assert len(read) == 1
    assert b"ListBucketResult" in read[0]


@pytest.mark.parametrize("step", ["create_multipart_upload", "upload_part", "complete_multipart_upload"])
def test_each_request_of_an_upload_in_parts_is_tried_five_times(
    proxy: FaultProxy, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = backend._call

    def failing(method: str, **request: Any) -> dict[str, Any]:
        proxy.faults = Faults(unavailable=float(method == step))
        return call(method, **request)

    monkeypatch.setattr(backend, "_call", failing)
    monkeypatch.setattr(backend, "MEMORY_SPOOL", 2)
    requests_of(proxy, lambda: put_bytes(URI, b"new"))
    assert proxy.counts["unavailable"] == tries.ATTEMPTS
    proxy.faults = Faults()
    assert read_bytes(URI) == b"0123456789"


def test_what_the_store_refuses_is_asked_once(proxy: FaultProxy) -> None:
    assert requests_of(proxy, lambda: read_bytes(f"{URI}/missing")) == 1
    assert requests_of(proxy, lambda: list(list_dir("s3://no-such-bucket/x"))) == 1
    proxy.counts.clear()
    assert not put_if_absent(URI, b"new")
    assert proxy.counts.total() == 1
