"""What storage raises, as errors of ours that name the URI; never a secret."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.parsers import ResponseParserError

from hf2vad.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    NotFoundError,
    StorageError,
    StorageFullError,
)
from hf2vad.storage.names import is_s3, readable

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def mapped(uri: str) -> Iterator[None]:
    """Raise errors of the block about `uri` as StorageError, or what of its kinds says more."""
    shown = readable(uri)
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise AccessDeniedError(
            f"{shown}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        ) from None
    except FileNotFoundError as error:
        if _code(error) == "NoSuchBucket":
            raise BucketNotFoundError(f"{shown}: there is no such bucket") from None
        raise NotFoundError(f"{shown}: no such {'bucket or object' if is_s3(uri) else 'file or folder'}") from None
    except PermissionError as error:
        if _code(error) == "InvalidObjectState":  # one object, whatever the credentials are
            raise NotFoundError(f"{shown}: kept in an archive of the store; restore it there first") from None
        remedy = "check the credentials and the bucket's policy" if is_s3(uri) else "check its permissions"
        raise AccessDeniedError(f"{shown}: access denied; {remedy}") from None
    except OSError as error:
        if error.errno in FULL:
            raise full(shown, error) from None
        raise StorageError(f"{shown}: {_line(error.strerror or error)}") from None
    except (BotoCoreError, ClientError, ResponseParserError, aiohttp.ClientError) as error:
        raise StorageError(f"{shown}: {_line(error)}") from None


def full(shown: str, error: OSError) -> StorageFullError:
    """What to raise when a write to `shown` met a full disk."""
    return StorageFullError(f"{shown}: cannot be written: {error.strerror}; make room and run again")


def _code(error: OSError) -> str:
    """What S3 said, of an error that s3fs made one of Python's."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def _line(text: object) -> str:
    """One line, without what an address may hold before its `@`."""
    return re.sub(r"//[^/@\s]*@", "//", " ".join(str(text).split()))
