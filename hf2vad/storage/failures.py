"""What storage raises, as errors of ours that name the URI; never a secret."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from hf2vad.errors import AccessDeniedError, NotFoundError, StorageError
from hf2vad.storage.names import is_s3, readable


@contextlib.contextmanager
def mapped(uri: str) -> Iterator[None]:
    """Raise errors of the block about `uri` as NotFoundError, AccessDeniedError or StorageError."""
    shown = readable(uri)
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise AccessDeniedError(
            f"{shown}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        ) from None
    except FileNotFoundError:
        raise NotFoundError(f"{shown}: no such {'bucket or object' if is_s3(uri) else 'file or folder'}") from None
    except PermissionError:
        remedy = "check the credentials and the bucket's policy" if is_s3(uri) else "check its permissions"
        raise AccessDeniedError(f"{shown}: access denied; {remedy}") from None
    except OSError as error:
        raise StorageError(f"{shown}: {_line(error.strerror or error)}") from None
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"{shown}: {_line(error)}") from None


def _line(text: object) -> str:
    """One line, without what an address may hold before its `@`."""
    return re.sub(r"//[^/@\s]*@", "//", " ".join(str(text).split()))
