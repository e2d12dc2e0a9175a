"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import ray

from hf2vad.errors import DispatchError

CONNECT_SECONDS = 10
"""A head node that has not answered by then is taken as absent."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to the Ray cluster at `address` (RayConfig.address), or to a local one that ends with the block.

    A process that is connected already stays connected as it is. Raises DispatchError when there is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    local: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": 256 * 2**20} if address == "local" else {}
    )
    check_answers(address)
    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, **local)
    except Exception as error:  # Ray raises nothing narrower where a node does not come up
        if address == "local":
            raise DispatchError(f"Ray did not start here: {error}; --ray.address none works without it") from None
        remedy = "if it asks for a token, RAY_AUTH_MODE and the token must be its own"
        raise DispatchError(f"no Ray cluster at {address!r}: {error}; {remedy}") from None
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Raise DispatchError when nothing listens at `host:port`: Ray itself tries for minutes before it says so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DispatchError(f"no Ray cluster at {address!r}: {error}") from None
