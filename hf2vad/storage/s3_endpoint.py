"""Check that a server listens at the S3 endpoint that the environment names."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from hf2vad.errors import StorageError
from hf2vad.storage.failures import one_line
from hf2vad.storage.tries import tried

ENDPOINT_SECONDS = 3
"""How long the endpoint has to answer the first time."""


def check_endpoint() -> None:
    """Raise StorageError where nothing listens at the endpoint that the environment names.

    Requests are tried again for some seconds, because a store that is there may be busy; an address that is wrong is
    told from that by its first connection.
    """
    names = [name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(name)]
    url = urlsplit(os.environ[names[0]]) if names else None
    if url is None or not url.hostname:
        return
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        tried(lambda: socket.create_connection((url.hostname, port), ENDPOINT_SECONDS).close(), _refused, attempts=3)
    except (OSError, ValueError) as error:
        where = one_line(os.environ[names[0]])
        raise StorageError(f"no S3 server answers at {where}: {one_line(error)}; {names[0]} says where it is") from None


def _refused(error: Exception) -> bool:
    return isinstance(error, ConnectionError)
