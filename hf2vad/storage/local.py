"""Files on local disks and what is mounted there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from hf2vad.storage.entry import Entry
from hf2vad.storage.failures import mapped_os_errors

is_local = True
objects_appear_whole = False


def mapped(uri: str) -> contextlib.AbstractContextManager[None]:
    return mapped_os_errors(uri, missing="file or folder", denied="check its permissions")


def find_file(uri: str) -> Entry | None:
    return _entry(str(Path(uri)), Path(uri).name) if Path(uri).is_file() else None


def is_folder(uri: str) -> bool:
    return Path(uri).is_dir()


def open_read(uri: str) -> BinaryIO:
    # Opening a pipe would wait for a writer, so what is there is looked at before.
    if not stat.S_ISREG(os.stat(uri).st_mode):
        raise OSError(errno.EINVAL, "is a folder or a device, not a file")
    return Path(uri).open("rb")


def read_bytes(uri: str) -> bytes:
    with open_read(uri) as file:
        return file.read()


def put_if_absent(uri: str, data: bytes) -> bool:
    with temporary(uri) as file:
        file.write(data)
        _to_disk(file)
        try:
            os.link(file.name, uri)
        except FileExistsError:
            return False
        return True


@contextlib.contextmanager
def temporary(uri: str) -> Iterator[IO[bytes]]:
    folder = Path(uri).parent
    folder.mkdir(parents=True, exist_ok=True)
    # Opened by its name and not by mkstemp, which lets nobody but the owner read what it makes.
    name = folder / f".writing-{uuid.uuid4().hex}"
    file = name.open("x+b")
    try:
        yield file
    finally:
        # On a full disk closing fails once more, for bytes that nobody wants; those published are on the disk already.
        with contextlib.suppress(OSError):
            file.close()
        name.unlink(missing_ok=True)


def publish(file: IO[bytes], uri: str) -> None:
    _to_disk(file)
    os.replace(file.name, uri)


def delete(uri: str) -> None:
    Path(uri).unlink(missing_ok=True)


def list_dir(uri: str) -> Iterator[Entry]:
    # Of a folder only names are held: files are looked at when they are reached, and left out if they are gone by then.
    with os.scandir(uri) as found:
        keys = sorted(os.fsencode(item.name) + b"/" * _leads_to_folder(item) for item in found)
    base = str(Path(uri))
    for key in keys:
        name = os.fsdecode(key.rstrip(b"/"))
        path = os.path.join(base, name)
        if key.endswith(b"/"):
            yield Entry(name, path, True, 0, "")
            continue
        try:
            entry = _entry(path, name)
        except FileNotFoundError:
            continue
        yield entry


def list_files(uri: str) -> Iterator[Entry]:
    single = find_file(uri)
    yield from [single] if single else _walk(uri, "")


def _walk(uri: str, prefix: str) -> Iterator[Entry]:
    for entry in list_dir(uri):
        if not entry.is_dir:
            yield entry._replace(name=prefix + entry.name)
        elif not Path(entry.uri).is_symlink():
            yield from _walk(entry.uri, f"{prefix}{entry.name}/")


def _leads_to_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that cannot be followed
        return False


def _entry(path: str, name: str) -> Entry:
    """Entry of `path`. A link gives its target's entry, or its own if there is no target."""
    try:
        found, modified = os.stat(path), True
    except OSError:
        found, modified = os.lstat(path), False
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, path, True, 0, "")
    return Entry(name, path, False, found.st_size, str(found.st_mtime_ns), found.st_mtime if modified else 0.0)


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
