"""Entries of a listing, and the protocol of storage backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, BinaryIO, NamedTuple, Protocol


class Entry(NamedTuple):
    """A file or folder found by a listing. A tuple, because archives have millions of them."""

    name: str
    """Last component of the path. For `list_files`, the path below the listed prefix."""
    uri: str
    is_dir: bool
    size: int
    """Bytes; 0 for a folder."""
    version: str
    """Changes when the content does: ETag, or modification time in nanoseconds; empty for a folder."""
    modified: float = 0.0
    """Unix time of its last change, in S3 in whole seconds; 0 where nothing says it."""

    @property
    def order(self) -> bytes:
        """The key that S3 sorts by."""
        return (self.name + ("/" if self.is_dir else "")).encode(errors="surrogateescape")


class Backend(Protocol):
    """A place for objects: a module such as `local`. Others call the functions of the same names in `hf2vad.storage`.

    They raise what they meet, and FileNotFoundError where there is nothing; `mapped` makes errors of ours of that, and
    whoever reads a file from `open_read` gets errors of ours too. Credentials are the backend's own matter: it finds
    them in each process's environment.
    """

    is_local: bool
    """True if URIs are paths of this machine's file systems."""
    objects_appear_whole: bool
    """True if readers never see a partly written object, whoever writes it."""

    def mapped(self, uri: str) -> AbstractContextManager[None]:
        """Raises errors of the block about `uri` as StorageError, or what of its kinds says more."""

    def find_file(self, uri: str) -> Entry | None:
        """The file at `uri`; None when there is nothing, or a folder."""

    def is_folder(self, uri: str) -> bool:
        """True if there is anything below `uri`."""

    def open_read(self, uri: str) -> BinaryIO:
        """The file at `uri`, seekable. Fails for a folder too, as all that names an object does."""

    def read_bytes(self, uri: str) -> bytes:
        """The whole content of the file at `uri`."""

    def put_if_absent(self, uri: str, data: bytes) -> bool:
        """Put a file at `uri` unless there is one; returns whether it was put. Of several callers, at most one puts."""

    def temporary(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """A file for the bytes on their way to `uri`, removed when the context ends."""

    def publish(self, file: IO[bytes], uri: str) -> None:
        """Let the bytes of a file from `temporary` appear at `uri`, all at once."""

    def delete(self, uri: str) -> None:
        """Remove the file at `uri`, if there is one."""

    def list_dir(self, uri: str) -> Iterator[Entry]:
        """Files and folders directly below `uri`, sorted by `Entry.order`.

        Raises FileNotFoundError where there is nothing.
        """

    def list_files(self, uri: str) -> Iterator[Entry]:
        """All files below `uri`, or the file there, sorted by key; `name` is the path below `uri`.

        Raises FileNotFoundError where there is nothing. Links to folders are not followed.
        """
