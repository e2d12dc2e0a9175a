from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from hf2vad.errors import AccessDeniedError, NotFoundError, StorageError
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
from hf2vad.storage.s3 import mapped

NOBODY = 65534
READS: list[Callable[[str], object]] = [
    open_read,
    read_bytes,
    read_json,
    open_parquet,
    read_table,
    lambda uri: list(list_dir(uri)),
    lambda uri: list(list_files(uri)),
]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def names(uri: str) -> list[str]:
    return [entry.name for entry in list_files(uri)]


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9/b", "nonsense://me:secret@", "//secret@host"])
def test_what_an_address_holds_before_its_at_sign_is_not_said(address: str) -> None:
    for error in (EndpointConnectionError(endpoint_url=address), OSError(22, f"Invalid endpoint: {address}")):
        with pytest.raises(StorageError) as raised, mapped("s3://bucket/key"):
            raise error
        assert "secret" not in str(raised.value)
        assert "//" + address.split("@")[1] in str(raised.value)


def test_a_file_appears_when_its_block_ends_and_not_before(folder: str) -> None:
    with atomic_writer(f"{folder}/new/deep/file") as file:
        file.write(b"x" * 100_000)
        file.flush()
        assert not exists(f"{folder}/new/deep/file")
    assert read_bytes(f"{folder}/new/deep/file") == b"x" * 100_000
    assert names(folder) == ["new/deep/file"]


def test_the_old_content_can_be_read_until_the_new_one_is_whole(folder: str) -> None:
    put_bytes(f"{folder}/file", b"old")
    with atomic_writer(f"{folder}/file") as file:
        file.write(b"new")
        file.flush()
        assert read_bytes(f"{folder}/file") == b"old"
    assert read_bytes(f"{folder}/file") == b"new"


@pytest.mark.parametrize("error", [ValueError("of the block"), OSError(5, "of the block"), KeyboardInterrupt()])
def test_a_block_that_raises_leaves_the_old_content_and_nothing_else(folder: str, error: BaseException) -> None:
    def write_half(uri: str) -> None:
        with atomic_writer(uri) as file:
            file.write(b"half")
            raise error

    put_bytes(f"{folder}/file", b"old")
    for name in ("file", "other"):
        with pytest.raises(type(error)) as raised:
            write_half(f"{folder}/{name}")
        assert raised.value is error
    assert names(folder) == ["file"]
    assert read_bytes(f"{folder}/file") == b"old"


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1500, 1_000_000], ids=["when it is published", "when it is written"])
def test_a_write_that_does_not_fit_is_a_storage_error_and_leaves_the_old_content(folder: str, size: int) -> None:
    put_bytes(f"{folder}/file", b"old")
    with pytest.raises(StorageError, match=r"/file: .*[Ff]ile too large"), files_of_at_most(1000):
        put_bytes(f"{folder}/file", b"x" * size)
    assert names(folder) == ["file"]
    assert read_bytes(f"{folder}/file") == b"old"


def test_a_new_file_has_the_permissions_that_the_user_wants_for_new_files(folder: str) -> None:
    before = os.umask(0o027)
    try:
        put_bytes(f"{folder}/file", b"")
    finally:
        os.umask(before)
    assert os.stat(f"{folder}/file").st_mode & 0o777 == 0o640


def test_a_file_cannot_be_written_below_a_file(folder: str) -> None:
    put_bytes(f"{folder}/file", b"")
    with pytest.raises(StorageError, match="file/below"):
        put_bytes(f"{folder}/file/below", b"")


def test_of_many_that_put_the_same_file_exactly_one_does_and_it_holds_that_ones_bytes(folder: str) -> None:
    together = threading.Barrier(12)

    def put(number: int) -> bool:
        together.wait()
        return put_if_absent(f"{folder}/lock", b"%d" % number * 5000)

    with ThreadPoolExecutor(12) as pool:
        put_by = list(pool.map(put, range(12)))
    assert sum(put_by) == 1
    assert read_bytes(f"{folder}/lock") == b"%d" % put_by.index(True) * 5000
    assert names(folder) == ["lock"]


def test_a_listing_is_in_the_byte_order_of_s3_where_a_folder_ends_in_a_slash(folder: str) -> None:
    files = ["a/x", "a-b/x", "a.txt", "a0", "B", "ä", "a", ".hidden", "a b", "日本/x", os.fsdecode(b"\xff")]
    for name in files[:6] + files[7:]:
        put_bytes(f"{folder}/{name}", b"1")
    keys = [entry.name + "/" * entry.is_dir for entry in list_dir(folder)]
    assert [os.fsencode(key) for key in keys] == sorted(
        [b".hidden", b"B", b"a b", b"a-b/", b"a.txt", b"a/", b"a0", "ä".encode(), "日本/".encode(), b"\xff"]
    )
    below = [os.fsencode(name) for name in names(folder)]
    assert below == sorted(os.fsencode(name) for name in files if name != "a")
    assert names(folder + "/") == names(folder)


def test_an_entry_tells_size_and_a_version_that_changes_with_the_content(folder: str) -> None:
    put_bytes(f"{folder}/in/file", b"12345")
    (entry,) = list_dir(f"{folder}/in")
    assert (entry.name, entry.uri, entry.is_dir, entry.size) == ("file", f"{folder}/in/file", False, 5)
    assert find_file(entry.uri) == entry
    put_bytes(entry.uri, b"54321")
    (after,) = list_files(entry.uri)
    assert after.size == entry.size
    assert after.version != entry.version


def test_folders_are_listed_as_they_are_reached(folder: str) -> None:
    put_bytes(f"{folder}/a/1.txt", b"")
    put_bytes(f"{folder}/b/1.txt", b"")
    found = list_files(folder, ".txt")
    assert next(found).name == "a/1.txt"
    put_bytes(f"{folder}/b/2.txt", b"")
    put_bytes(f"{folder}/b/2.json", b"")
    assert [entry.name for entry in found] == ["b/1.txt", "b/2.txt"]


@pytest.mark.parametrize("read", READS)
def test_what_is_not_there_is_a_not_found_error_that_names_it(folder: str, read: Callable[[str], object]) -> None:
    with pytest.raises(NotFoundError) as raised:
        read(f"{folder}/no\udcffne")
    assert str(raised.value) == f"{folder}/no\\udcffne: no such file or folder"


def test_what_is_not_there_does_not_exist_and_can_be_deleted(folder: str) -> None:
    assert not exists(f"{folder}/none")
    assert find_file(f"{folder}/none") is None
    delete(f"{folder}/none")
    put_bytes(f"{folder}/none", b"")
    delete(f"{folder}/none")
    assert list(list_dir(folder)) == []


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of a user whom permissions hold back; tests that run as root become nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        try:
            os.seteuid(NOBODY)
        except OSError:
            pytest.skip("root that cannot become another user: permissions hold nothing back")
    try:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("use", [*READS, lambda uri: put_bytes(uri, b""), lambda uri: put_if_absent(uri, b""), delete])
def test_what_may_not_be_used_is_an_access_denied_error_that_names_it(use: Callable[[str], object]) -> None:
    with unprivileged() as folder:
        put_bytes(f"{folder}/locked/file", b"")
        (folder / "locked").chmod(0)
        try:
            with pytest.raises(AccessDeniedError) as raised:
                use(f"{folder}/locked/file")
        finally:
            (folder / "locked").chmod(0o700)
        assert str(raised.value) == f"{folder}/locked/file: access denied; check its permissions"
        assert names(f"{folder}/locked") == ["file"]


def test_links_count_as_what_they_lead_to_and_folders_behind_them_are_not_walked(folder: str) -> None:
    put_bytes(f"{folder}/real/file", b"123")
    for link, target in (("file", "real/file"), ("folder", "real"), ("real/loop", ".."), ("broken", "nowhere")):
        Path(folder, link).symlink_to(Path(folder, target))
    assert [exists(f"{folder}/{name}") for name in ("file", "folder", "real", "broken")] == [True, True, True, False]
    assert {e.name: (e.is_dir, e.size) for e in list_dir(folder) if e.name != "broken"} == {
        "file": (False, 3),
        "folder": (True, 0),
        "real": (True, 0),
    }
    assert names(folder) == ["broken", "file", "real/file"]
    with pytest.raises(NotFoundError, match="broken"):
        open_read(f"{folder}/broken")


def test_a_folder_or_a_pipe_is_no_file_to_read(folder: str) -> None:
    os.mkfifo(f"{folder}/pipe")
    for uri in (folder, f"{folder}/pipe"):
        assert exists(uri) == (uri == folder)
        assert find_file(uri) is None
        with pytest.raises(StorageError, match="not a file"):
            open_read(uri)
