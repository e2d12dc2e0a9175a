"""Conversion of backend errors into ours, which name the URI and never a secret."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from hf2vad.errors import AccessDeniedError, NotFoundError, StorageError, StorageFullError
from hf2vad.storage.names import readable

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def mapped_os_errors(uri: str, *, missing: str, denied: str) -> Iterator[None]:
    """Raise an OSError of the block about `uri` as StorageError, or what of its kinds says more.

    `missing`: what is not there where something is not; `denied`: what to do where access is refused.
    """
    shown = readable(uri)
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{shown}: no such {missing}") from None
    except (NotADirectoryError, FileExistsError):
        raise StorageError(f"{shown}: a part of this path is a file, not a folder; choose another place") from None
    except PermissionError:
        raise AccessDeniedError(f"{shown}: access denied; {denied}") from None
    except OSError as error:
        if error.errno in FULL:
            raise full(shown, error) from None
        raise StorageError(f"{shown}: {one_line(error.strerror or error)}") from None


def full(shown: str, error: OSError) -> StorageFullError:
    """Error for a write to `shown` that met a full disk."""
    return StorageFullError(f"{shown}: cannot be written: {error.strerror}; make room and run again")


def one_line(text: object) -> str:
    """One line, without what an address may hold before its `@`."""
    return re.sub(r"//[^/@\s]*@", "//", " ".join(str(text).split()))
